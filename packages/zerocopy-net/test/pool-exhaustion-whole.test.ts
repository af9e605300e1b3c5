import { poolExhaustionTests } from './pool-exhaustion.ts';

await poolExhaustionTests(false);
