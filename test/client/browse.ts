/** A browser that has no pages: from the address of a client's to the one that it comes back to. */
export async function browse (address: string, end = 'com.example.app:'): Promise<string> {
  const cookies = new Map<string, string>()
  while (/^http:\/\/127\.0\.0\.1:/.test(address) && !address.startsWith(end)) {
    const cookie = [...cookies].map(pair => pair.join('=')).join('; ')
    const answer = await fetch(address, { redirect: 'manual', headers: { cookie } })
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(name, value)
    }
    address = answer.headers.get('location') ?? `ended with ${answer.status}`
  }
  return address
}
