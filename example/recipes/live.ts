import websocket, { type WebSocket } from '@fastify/websocket'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import tokenExchange, { type TokenExchangeEvent, type TokenExchangeOptions, userOf } from 'fastify-token-exchange'

/** Sockets of browsers: they can send no header, and so the token comes as a subprotocol. */
export async function liveServer (options: TokenExchangeOptions): Promise<FastifyInstance> {
  const sockets = new Map<WebSocket, { token: string, userId: string }>()
  const app = Fastify()
  // What the server answers: the token is not to come back.
  await app.register(websocket, { options: { handleProtocols: () => 'live' } })
  await app.register(tokenExchange, { ...options, tokenFrom: tokenOf, onEvent: closeWhatEnded })

  // In the browser: new WebSocket(url, ['live', `bearer.${accessToken}`])
  app.get('/live', { websocket: true, onRequest: app.requireUser() }, (socket, request) => {
    const { id } = userOf(request)
    sockets.set(socket, { token: tokenOf(request) ?? '', userId: id })
    socket.on('close', () => sockets.delete(socket))
    socket.send(`hello, ${id}`)
  })

  // A guard looks once, when a socket is opened. Whoever is logged out, here or elsewhere, is not to listen on.
  function closeWhatEnded ({ type, userId }: TokenExchangeEvent): void {
    if (type !== 'session.ended' && type !== 'token.revoked' && type !== 'revocation.heard') return
    for (const [socket, open] of sockets) {
      if (userId === undefined || userId === open.userId) closeUnlessGood(socket, open.token)
    }
  }

  function closeUnlessGood (socket: WebSocket, token: string): void {
    try {
      app.tokenExchange.verify(token)
    } catch {
      socket.close(4401, 'logged out')
    }
  }

  return app
}

function tokenOf ({ headers }: FastifyRequest): string | null {
  return /(?:^|, *)bearer\.([\w.-]+)/.exec(headers['sec-websocket-protocol'] ?? '')?.[1] ?? null
}
