export type { IdTokenOptions } from './configuration.js'
export { facebook, type FacebookOptions } from './facebook.js'
export { oidc, type OidcOptions } from './oidc.js'
