import { serve } from './serve.js';

/** The module that the pool's threads load. */
export default serve();
