import { describePlans } from './plan-properties.ts';

// The long tier has twenty times as many.
describePlans(150);
