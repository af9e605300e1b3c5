import { corruptionTests } from './corruption.ts';

await corruptionTests('msg_zerocopy', 100);
