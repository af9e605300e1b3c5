// The same of the formats, each batch and reply made and read by an independent implementation, too.
import './formats.test.js';
