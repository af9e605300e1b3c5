import { drainingTests } from './draining.ts';

await drainingTests('msg_zerocopy');
