/** Holds whoever passes until it is open. */
export function openGate () {
  let open = (): void => {}
  let count = 0
  const opened = new Promise<void>(resolve => { open = resolve })
  return {
    open: () => open(),
    pass: async () => {
      count++
      await opened
    },
    count: () => count
  }
}
