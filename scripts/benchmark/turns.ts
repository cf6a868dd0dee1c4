/**
 * Has contestants take turns, round after round: a machine that is busy for a while is busy for all of them. Who begins
 * changes, as who comes second finds caches warm and disks busy. Resolves to the results of each, in the order of `all`.
 */
export async function inTurns<Contestant, Result>(
  all: readonly Contestant[],
  rounds: number,
  measure: (contestant: Contestant, round: number) => Promise<Result> | Result,
): Promise<Result[][]> {
  const results = all.map((): Result[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < all.length; turn += 1) {
      const index = (turn + round) % all.length;
      const contestant = all[index];
      if (contestant !== undefined) results[index]?.push(await measure(contestant, round));
    }
  }
  return results;
}
