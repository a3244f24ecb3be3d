// A loader hook for emulate's Google service. Its historyId is a time stamp
// with eight more digits: 21 in all, more than the uint64 Gmail's own schema
// promises, so that every strict client fails to decode it. The time stamp
// alone is enough: the emulator itself adds one whenever two would be equal.
const spot = 'BigInt(`${Date.now()}${entropy}`)';

export async function load(url, context, next) {
  const module = await next(url, context);
  if (!url.includes('/emulate/dist/') || module.format !== 'module' || !module.source) return module;
  const source = module.source.toString();
  if (!source.includes('function generateHistoryId()')) return module;
  if (!source.includes(spot)) throw new Error('patch.mjs: emulate makes its historyId in another way now; look again');
  return { ...module, source: source.replace(spot, 'BigInt(Date.now())') };
}
