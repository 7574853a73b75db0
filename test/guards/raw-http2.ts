import { once } from 'node:events'
import { connect } from 'node:net'

type Lines = ReadonlyArray<readonly [string, string]>

/**
 * One GET over HTTP/2 with prior knowledge (RFC 9113), header by header as given: Node's client refuses to send some
 * headers twice. Resolves when the server has ended the stream.
 */
export async function getOverHttp2 (port: number, path: string, headers: Lines): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  const block = Buffer.concat(
    [[':method', 'GET'], [':scheme', 'http'], [':path', path], [':authority', '127.0.0.1'], ...headers].map(
      ([name = '', value = '']) => literal(name.toLowerCase(), value)
    )
  )
  // END_STREAM and END_HEADERS on stream 1
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(4, 0, 0, Buffer.alloc(0)),
      frame(1, 5, 1, block)
    ])
  )
  let received = Buffer.alloc(0)
  while (!hasEnded(received)) {
    const [chunk] = await once(socket, 'data')
    received = Buffer.concat([received, chunk])
  }
  socket.destroy()
}

function frame (type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** RFC 7541, 6.2.2: a literal header field without indexing, with a new name. */
function literal (name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.of(0),
    ...[name, value].flatMap(text => [integer(Buffer.byteLength(text, 'latin1')), Buffer.from(text, 'latin1')])
  ])
}

/** RFC 7541, 5.1, with a prefix of seven bits. */
function integer (value: number): Buffer {
  if (value < 127) return Buffer.of(value)
  const bytes = [127]
  for (let rest = value - 127; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : (rest % 128) | 128)
    if (rest < 128) return Buffer.from(bytes)
  }
}

/** Whether stream 1 has been ended (END_STREAM) or reset, or the connection given up. */
function hasEnded (received: Buffer): boolean {
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
    const type = received.readUInt8(at + 3)
    const ends = (type === 0 || type === 1) && (received.readUInt8(at + 4) & 1) === 1
    if ((received.readUInt32BE(at + 5) === 1 && (ends || type === 3)) || type === 7) return true
  }
  return false
}
