import { CodeRefused, type AuthorizationCodes } from './authorization-codes.js'
import { graphError } from './graph-errors.js'
import { json, type Handler, type Site } from './site.js'

/**
 * The Graph's token endpoint, by GET or POST; its errors are the Graph's and not those of OAuth.
 * https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#exchangecode
 */
export function serveGraphCodes<Person> (
  site: Site,
  app: { appId: string, appSecret: string },
  codes: AuthorizationCodes<Person>,
  accessToken: (person: Person) => string
): void {
  const handler: Handler = ({ query, body }) => {
    const form = body === '' ? query : new URLSearchParams(body)
    if (form.get('client_id') !== app.appId || form.get('client_secret') !== app.appSecret) {
      return graphError(1, 'Error validating client secret.')
    }
    try {
      const person = codes.redeem({
        code: form.get('code') ?? '',
        clientId: app.appId,
        redirectUri: form.get('redirect_uri'),
        codeVerifier: form.get('code_verifier')
      })
      return json(200, { access_token: accessToken(person), token_type: 'bearer', expires_in: 5_183_944 })
    } catch (error) {
      if (!(error instanceof CodeRefused)) throw error
      return graphError(100, 'Invalid verification code format.')
    }
  }
  site.get(/^(?:\/v\d+\.\d+)?\/oauth\/access_token$/, handler)
  site.post(/^(?:\/v\d+\.\d+)?\/oauth\/access_token$/, handler)
}
