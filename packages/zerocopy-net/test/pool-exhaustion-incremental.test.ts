import { poolExhaustionTests } from './pool-exhaustion.ts';

await poolExhaustionTests(true);
