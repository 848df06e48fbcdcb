/** Whether `value` is an object with names and values, and not a list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether `value` is an object with names and values: neither a list nor memory, such as a typed array. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return isObject(value) && !ArrayBuffer.isView(value);
}
