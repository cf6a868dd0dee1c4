import { describePlans } from './plan-properties.ts';

describePlans(3_000);
