/** Of figures that were measured several times. */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The lower and the upper quartile. */
export function spread(values: readonly number[]): [number, number] {
  return [quantile(values, 0.25), quantile(values, 0.75)];
}

/** Between two values, in proportion. */
function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  if (low === undefined || high === undefined) throw new Error('there is nothing to take a quantile of');
  return low + (high - low) * (place - Math.floor(place));
}
