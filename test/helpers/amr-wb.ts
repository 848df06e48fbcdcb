import { createDecoder, createEncoder } from '../../src/codecs/create.js';

/** Whether this machine has the libraries of AMR-WB. */
export const haveAmrWb = ((): boolean => {
  try {
    createDecoder('AMR-WB').close();
    createEncoder('AMR-WB').close();
    return true;
  } catch {
    return false;
  }
})();
