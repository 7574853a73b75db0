import { STATUS_CODES } from 'node:http'
import 'reflect-metadata'
import {
  Catch, Controller, createParamDecorator, Get, Injectable, Module, Post, UseGuards,
  type ArgumentsHost, type CanActivate, type ExecutionContext
} from '@nestjs/common'
import { BaseExceptionFilter, NestFactory } from '@nestjs/core'
import { FastifyAdapter, RouteConfig, type NestFastifyApplication } from '@nestjs/platform-fastify'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import tokenExchange, { userOf, type RouteGuards, type TokenExchangeOptions, type User } from 'fastify-token-exchange'

const requestOf = (context: ExecutionContext): FastifyRequest => context.switchToHttp().getRequest<FastifyRequest>()

/** What a route asks for. Once for each route: Nest keeps only one `RouteConfig`. */
export const Require = (guards: RouteGuards) => RouteConfig({ tokenExchange: guards })

/** The user, as a parameter of a handler; 401 where there is none. */
export const CurrentUser = createParamDecorator((_data: unknown, context: ExecutionContext): User =>
  userOf(requestOf(context)))

/** A guard of Nest's runs after ours: `request.auth` is there. */
@Injectable()
export class OwnList implements CanActivate {
  canActivate (context: ExecutionContext): boolean {
    const { auth, params } = requestOf(context)
    return auth.user?.id === Reflect.get(Object(params), 'owner')
  }
}

/** Nest leaves out the `code`, by which clients know what to do, and logs every refusal as an error. */
@Catch()
export class CodeFilter extends BaseExceptionFilter {
  override catch (exception: unknown, host: ArgumentsHost): void {
    const { code = '', statusCode = 500, message }: FastifyError = Object(exception)
    if (!code.startsWith('AUTH_ERR_')) return super.catch(exception, host)
    const error = STATUS_CODES[statusCode]
    host.switchToHttp().getResponse<FastifyReply>().code(statusCode).send({ statusCode, code, error, message })
  }
}

@Controller()
export class TodosController {
  @Get('about')
  @Require({ level: 'everyone' })
  about () {
    return { name: 'Todo' }
  }

  // Without a word: for users, by defaultLevel.
  @Get('me')
  me (@CurrentUser() user: User) {
    return { id: user.id, permissions: user.permissions }
  }

  @Post('todos')
  @Require({ permissions: ['todo:write'] })
  add (@CurrentUser() user: User) {
    return { owner: user.id }
  }

  @Get('lists/:owner')
  @UseGuards(OwnList)
  list () {
    return []
  }
}

@Module({ controllers: [TodosController] })
export class TodosModule {}

export async function nestServer (options: TokenExchangeOptions): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(TodosModule, new FastifyAdapter(), { logger: ['error'] })
  app.useGlobalFilters(new CodeFilter(app.getHttpAdapter()))
  // Before `listen`, which declares the routes.
  await app.register(tokenExchange, { ...options, defaultLevel: 'authenticated' })
  return app
}
