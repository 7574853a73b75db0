import { entersByItself } from '../deadline.js'
import type { IdentityProvider } from '../identity.js'

/** A provider that asks by way of src/http only, which enters before it asks. */
export function entering<Provider extends IdentityProvider> (provider: Provider): Provider {
  for (const method of [provider.verify, provider.authorizationUrl, provider.redeem]) {
    if (method !== undefined) Object.assign(method, { [entersByItself]: true })
  }
  return provider
}
