/**
 * Numbers as Python spells and reads them. TaskIQ writes a label with `str(value)` and reads it with `int(text)` or
 * `float(text)`, so `7.0` is no int there, `1_000` is one, and the float 1e16 is `1e+16` (JavaScript: 10000000000000000).
 */

/** What Python skips around a number: unlike `\s` with U+0085, and without U+FEFF. */
const BLANK = "[\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*";
const DIGITS = "\\d+(?:_\\d+)*";
const INT = new RegExp(`^${BLANK}([+-]?${DIGITS})${BLANK}$`);
const FLOAT = new RegExp(
  `^${BLANK}([+-]?(?:(?:${DIGITS}(?:\\.(?:${DIGITS})?)?|\\.${DIGITS})(?:e[+-]?${DIGITS})?|inf|infinity|nan))${BLANK}$`,
  "i",
);
/** Python refuses longer integers (`sys.int_info.default_max_str_digits`), because reading them takes quadratic time. */
const MAX_INT_DIGITS = 4_300;

/** `int(text)`; null where Python raises. ASCII digits only: `str(value)` never writes others. */
export function pythonInt(text: string): number | bigint | null {
  const digits = INT.exec(text)?.[1]?.replaceAll("_", "");
  if (digits === undefined || digits.replace(/^[+-]/, "").length > MAX_INT_DIGITS) return null;
  // BigInt reads a leading minus, but not a plus.
  return exactInt(BigInt(digits.replace(/^\+/, "")));
}

/** `float(text)`; null where Python raises. Too large is infinity, as in Python. ASCII digits only. */
export function pythonFloat(text: string): number | null {
  const found = FLOAT.exec(text)?.[1]?.toLowerCase();
  if (found === undefined) return null;
  if (found.endsWith("nan")) return Number.NaN;
  if (found.includes("inf")) return found.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Number(found.replaceAll("_", ""));
}

/** An integer as a number where that is exact (up to 2^53 - 1), else as a bigint. */
export function exactInt(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** `repr(float)`: the shortest digits that read back equal, always with a point or an exponent: `5.0`, `1e-07`, `-0.0`, `inf`. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  // toExponential without an argument gives all the digits needed, as repr does; only the notation differs.
  const [mantissa = "", exponentText = "0"] = value.toExponential().split("e");
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < 16) return decimal(mantissa, exponent);
  const size = String(Math.abs(exponent)).padStart(2, "0");
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${size}`;
}

function decimal(mantissa: string, exponent: number): string {
  const sign = mantissa.startsWith("-") ? "-" : "";
  const digits = mantissa.replace(/[-.]/g, "");
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1).padEnd(1, "0")}`;
}
