export { type ErrorCode, SidetoneError } from './errors.js';
