import type { PostgresServer } from '../../test/harness/postgres.ts';

const ROWS_PER_BRANCH = 100_000;
const SESSIONS = 2;

/** As pgbench's default script: three updates, a select, an insert for each transaction; each session with a branch of its own. */
const TABLES = [
  'create table branches (bid int primary key, balance int, filler char(88))',
  'create table tellers (tid int primary key, bid int, balance int, filler char(84))',
  'create table accounts (aid int primary key, bid int, balance int, filler char(84))',
  'create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))',
  `insert into branches select g, 0, '' from generate_series(1, $1::int) g`,
  `insert into tellers select g, 1 + (g - 1) / 10, 0, '' from generate_series(1, 10 * $1::int) g`,
  `insert into accounts select g, 1 + (g - 1) / ${ROWS_PER_BRANCH}, 0, '' from generate_series(1, ${ROWS_PER_BRANCH} * $1::int) g`,
];

const WORK = `
create procedure work(transactions int, branch int, branches int) language plpgsql as $$
declare
  d int; a int; t int;
begin
  for i in 1 .. transactions loop
    d := (random() * 10000)::int - 5000;
    a := 1 + (random() * (branches * ${ROWS_PER_BRANCH} - 1))::int;
    t := (branch - 1) * 10 + 1 + (random() * 9)::int;
    update accounts set balance = balance + d where aid = a;
    perform balance from accounts where aid = a;
    update tellers set balance = balance + d where tid = t;
    update branches set balance = balance + d where bid = branch;
    insert into history values (t, branch, a, d, now(), '');
    commit;
  end loop;
end $$`;

/** A load like pgbench's on one server, of two sessions. */
export class Load {
  readonly #server: PostgresServer;
  readonly #branches: number;

  private constructor(server: PostgresServer, branches: number) {
    this.#server = server;
    this.#branches = branches;
  }

  /** Makes the tables and fills them: `branches` is pgbench's scale, two or more. */
  static async make(server: PostgresServer, branches: number): Promise<Load> {
    for (const statement of TABLES) await server.query(statement, statement.includes('$1') ? [branches] : []);
    await server.query(WORK);
    return new Load(server, branches);
  }

  /** Runs so many transactions in each session, again and again while `goesOn`. */
  async run(transactions: number, goesOn: () => boolean): Promise<void> {
    const work = async (branch: number): Promise<void> => {
      const client = await this.#server.client();
      do await client.query(`call work(${transactions}, ${branch}, ${this.#branches})`);
      while (goesOn());
      await client.end();
    };
    await Promise.all(Array.from({ length: SESSIONS }, (_, index) => work(index + 1)));
  }
}
