/** One statement on a connection of its own: for making and dropping databases, which no pool or transaction may do. */
import pg from "pg";

export async function executeSql(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}
