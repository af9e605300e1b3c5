import { corruptionTests } from './corruption.ts';

await corruptionTests('send_zc', 100);
