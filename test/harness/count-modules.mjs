// Preloaded by the test that counts what a start loads: prints the URL of each module that was loaded, at the end.
import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

const loaded = [];
registerHooks({
  load(url, context, nextLoad) {
    loaded.push(url);
    return nextLoad(url, context);
  },
});
process.on('exit', () => {
  writeSync(2, loaded.map((url) => `loaded ${url}\n`).join(''));
});
