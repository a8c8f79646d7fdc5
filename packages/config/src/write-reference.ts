/** Writes docs/parameters.md: `node --conditions=source packages/config/src/write-reference.ts`. */
import { writeFileSync } from 'node:fs';
import { referenceText } from './reference.ts';

writeFileSync(new URL('../../../docs/parameters.md', import.meta.url), referenceText());
