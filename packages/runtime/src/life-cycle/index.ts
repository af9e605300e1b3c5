export { type Advice, type AdviceOptions, startupAdvice } from './advice.js';
