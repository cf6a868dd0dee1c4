/** A program under a guard, for guard.server.test.ts: says whether it is wanted, at first and at every SIGUSR2. */
import { ParentGuard } from '../../src/server/guard.ts';

const LIFETIME_MS = 60_000;

const launcher = process.env['WALSEAL_LAUNCHER'];
const guard = new ParentGuard(launcher === undefined ? undefined : Number(launcher));
process.on('SIGUSR2', () => {
  console.log(guard.stillWanted());
});
setTimeout(() => undefined, LIFETIME_MS);
console.log(`program ${process.pid}`);
console.log(guard.stillWanted());
