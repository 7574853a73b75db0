export { appCheck } from './app-check.js'
export type { AppCheckOptions } from './app-check.js'
export type { ApplicationVerifier, ProvenApplication } from '../identity.js'
