import { drainingTests } from './draining.ts';

await drainingTests('send_zc');
