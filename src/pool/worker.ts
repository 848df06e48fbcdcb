import { serve } from './worker-jobs.js';

/** The module that the pool's threads load. */
export default serve();
