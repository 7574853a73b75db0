// The example for apps with an SDK of Azure Mobile Services: their dialect, in which every refusal is 401, and a table.
import { createApplication, serve } from './application.js'
import { readSettings } from './settings.js'
import { todoTable } from './todo-table.js'
import { walkthrough } from './walkthrough.js'

const settings = await readSettings(process.env)
const { app, idp, database, sessions } = await createApplication(settings, { azureMobileServices: true })
await todoTable(app, database)
await serve(app, settings)
console.log(await walkthrough({ settings, idp, sessions, forbidden: 401, table: '/tables/todoitem' }))
