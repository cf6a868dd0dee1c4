/** Writes a tar as the server does (tarCreateHeader in src/port/tar.c). A name that ends in a slash is a directory. */
export function writeTar(entries: readonly (readonly [name: string, content?: Uint8Array])[]): Buffer {
  return Buffer.concat([
    ...entries.flatMap(([name, content = new Uint8Array(0)]) => [
      tarHeader(name, content.length),
      content,
      Buffer.alloc((512 - (content.length % 512)) % 512),
    ]),
    Buffer.alloc(1024),
  ]);
}

export function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(512);
  header.write(name);
  header.write('0000600 0000032 0000032 ', 100);
  if (size < 8 ** 11) {
    header.write(`${size.toString(8).padStart(11, '0')} `, 124);
  } else {
    header[124] = 0x80;
    header.writeBigUInt64BE(BigInt(size), 128);
  }
  header.write('15075331734 ', 136);
  header.write(name.endsWith('/') ? '5' : '0', 156);
  header.write('ustar\0' + '00postgres', 257);
  header.write(' '.repeat(8), 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')} \0`, 148);
  return header;
}
