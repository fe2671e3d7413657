// Makes documents with their canonical text and signature, as a JavaScript peer computes them.
//
//   node make_vectors.mjs --seed 1 --count 21000 --out canonical.jsonl.gz     (the committed vectors)
//   node make_vectors.mjs --seed 2 --count 2000                               (plain lines on standard output)
//
// One line per document, all distinct: {"text": input, "canonical": expected, "signature": expected}. Objects carry
// a signature, unless they name another algorithm; it covers the document without its own top-level "signature"
// member. Node's standard library only; the same seed gives the same lines.

import { createHash, createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const KEY = Buffer.from('00112233445566778899aabbccddeeff'.repeat(2), 'hex');

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(',')}}`;
}

function signature(document) {
  const signed = Object.fromEntries(Object.entries(document).filter(([key]) => key !== 'signature'));
  return createHmac('sha256', KEY).update(canonical(signed), 'utf8').digest('base64url');
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const isSignable = (value) => isObject(value) && ['HMAC-SHA256', undefined].includes(value.signatureAlgo);

// A stream of bytes from SHA-256 in counter mode.
class Dice {
  constructor(seed) {
    this.seed = seed;
    this.counter = 0;
    this.pool = Buffer.alloc(0);
    this.at = 0;
  }

  bytes(count) {
    if (this.at + count > this.pool.length) {
      this.pool = createHash('sha256').update(`${this.seed}:${this.counter++}`).digest();
      this.at = 0;
    }
    this.at += count;
    return this.pool.subarray(this.at - count, this.at);
  }

  below(limit) { return this.bytes(4).readUInt32LE() % limit; }
  between(low, high) { return low + this.below(high - low + 1); }
  chance(percent) { return this.below(100) < percent; }
  pick(list) { return list[this.below(list.length)]; }
  digits(count) { return Array.from({ length: count }, () => this.below(10)).join(''); }
}

const EDGE_NUMBERS = [
  '0', '-0', '0.0', '-0.0', '0e5', '-0e-5', '1', '-1', '50.0', '0.1', '0.2', '0.30000000000000004', '1e-7',
  '1E-6', '0.000001', '0.0000001', '1.5e-7', '123e-8', '1e20', '1e21', '1E+21', '999999999999999999999',
  '999999999999999934464', '100000000000000000000', '1000000000000000000000', '1.0e+20', '123456789012345680000',
  '5e-324', '4.9e-324',
  '2.4703282292062328e-324', '2.47e-324', '2.2250738585072014e-308', '2.225073858507201e-308', '1.7976931348623157e308',
  '17976931348623157e292', '9007199254740991', '9007199254740992', '9007199254740993', '-9007199254740993',
  '9007199254740993.0', '9007199254740992.99999999999999999999', '9007199254740994', '18014398509481985',
  '18446744073709551615', '18446744073709551616', '-9223372036854775808', '-9223372036854775809', '1e-400', '-1e-400',
  '4.35', '0.1e1', '1e0', '1e1', '1e15', '1e16', '1e17', '123456789.123456789', '1e23', '9.5e-7', '0.00001234', '1e-5',
  '8.41e21', '2.0e-3', '7.0e-10', '3.14159265358979323846264338327950288',
];

function double(dice) {
  const value = dice.bytes(8).readDoubleLE();
  return Number.isFinite(value) ? value : dice.below(1000) / 8;
}

function spelled(dice, value) {
  const text = String(value);
  switch (dice.below(6)) {
    case 0: return value.toExponential().replace('e', 'E');
    case 1: return text.includes('.') && !text.includes('e') ? `${text}00` : text;
    case 2: return value.toPrecision(dice.between(1, 40));
    case 3: return text.replace('e+', 'e');
    default: return text;
  }
}

function numberText(dice) {
  switch (dice.below(10)) {
    case 0: return dice.pick(EDGE_NUMBERS);
    case 1: return String(dice.between(-1000, 1000));
    case 2: return `${dice.between(-500, 500)}.${dice.digits(dice.between(1, 3))}`.replace(/^-0\b/, '-0');
    case 3: return spelled(dice, double(dice));
    case 4: return `${dice.chance(50) ? '-' : ''}1${dice.pick(['e', 'E', 'e+', 'e-'])}${dice.below(308)}`;
    case 5: return spelled(dice, Number.MIN_VALUE * dice.between(1, 2 ** 31));
    case 6: return String((2n ** BigInt(dice.between(50, 70))) + BigInt(dice.between(-3, 3)));
    case 7: return `${dice.between(1, 9)}${dice.digits(dice.chance(5) ? dice.between(40, 300) : dice.between(14, 24))}`;
    case 8: return `0.${'0'.repeat(dice.between(0, 9))}${dice.between(1, 9)}${dice.digits(dice.between(0, 17))}`;
    default: return spelled(dice, dice.between(1, 99999) * 10 ** dice.between(-10, 22));
  }
}

const WORDS = ['mode', 'powerKw', 'siteId', 'STANDARD', 'signatureAlgo', 'signature', 'a', 'B', 'aa', 'A', '',
  ' ', '10', '9', '1', '-', '__proto__', 'constructor', 'toJSON', 'Přetok', 'ž', 'é', 'e\u0301'];
// Where UTF-16 order and code point order part: surrogate pairs against U+E000..U+FFFF.
const EDGE_POINTS = [0x22, 0x5c, 0x2f, 0x7f, 0x80, 0x7ff, 0x800, 0x2028, 0x2029, 0xd7ff, 0xe000, 0xe001, 0xf8ff, 0xfeff,
  0xfffd, 0xffff, 0x10000, 0x10001, 0x1f600, 0x1f9ff, 0xfffff, 0x100000, 0x10ffff];
const SHORT_ESCAPES = { 8: 'b', 9: 't', 10: 'n', 12: 'f', 13: 'r', 34: '"', 47: '/', 92: '\\' };

function codePoint(dice) {
  switch (dice.below(6)) {
    case 0: return dice.pick(EDGE_POINTS);
    case 1: return dice.between(1, 0x1f);
    case 2: return dice.between(0xa0, 0x17f);
    case 3: {
      const point = dice.below(0x110000);
      return point === 0 || (point >= 0xd800 && point <= 0xdfff) ? 0x1f50b : point;
    }
    default: return dice.between(0x20, 0x7e);
  }
}

function escaped(dice, point) {
  const units = String.fromCodePoint(point).split(''); // UTF-16 units: a pair becomes two escapes
  const hex = (unit) => unit.charCodeAt(0).toString(16).padStart(4, '0');
  return units.map((unit) => `\\u${dice.chance(50) ? hex(unit).toUpperCase() : hex(unit)}`).join('');
}

function stringText(dice, text) {
  let out = '"';
  for (const character of text) {
    const point = character.codePointAt(0);
    const must = point < 0x20 || point === 0x22 || point === 0x5c;
    if (SHORT_ESCAPES[point] && (must ? dice.chance(70) : dice.chance(30))) out += `\\${SHORT_ESCAPES[point]}`;
    else if (must || dice.chance(8)) out += escaped(dice, point);
    else out += character;
  }
  return `${out}"`;
}

function randomText(dice) {
  if (dice.chance(40)) return dice.pick(WORDS);
  return Array.from({ length: dice.between(0, 9) }, () => String.fromCodePoint(codePoint(dice))).join('');
}

const gap = (dice) => (dice.chance(8) ? dice.pick([' ', '\n', '\t', '\r\n', '  ']) : '');

function valueText(dice, depth) {
  const kind = dice.below(depth > 0 ? 12 : 8);
  if (kind < 4) return numberText(dice);
  if (kind < 6) return stringText(dice, randomText(dice));
  if (kind < 8) return dice.pick(['true', 'false', 'null']);
  return kind < 10 ? objectText(dice, depth - 1) : arrayText(dice, depth - 1);
}

function arrayText(dice, depth) {
  const items = Array.from({ length: dice.between(0, 4) }, () => gap(dice) + valueText(dice, depth) + gap(dice));
  return `[${items.join(',')}${items.length ? '' : gap(dice)}]`;
}

function objectText(dice, depth) {
  const keys = new Set(Array.from({ length: dice.between(0, 6) }, () => randomText(dice)));
  const member = (key) => `${gap(dice)}${stringText(dice, key)}${gap(dice)}:${gap(dice)}${valueText(dice, depth)}`;
  const members = Array.from(keys, member);
  return `{${members.join(',')}}`;
}

function tower(dice) {
  const height = dice.between(10, 60);
  let text = valueText(dice, 0);
  for (let level = 0; level < height; level++) {
    text = dice.chance(50) ? `[${text}]` : `{${stringText(dice, dice.pick(WORDS))}:${text}}`;
  }
  return text;
}

function shuffled(dice, items) {
  const drawn = items.map((item) => [dice.below(2 ** 31), item]);
  return drawn.sort((left, right) => left[0] - right[0]).map(([, item]) => item);
}

function envelopeText(dice) {
  const hex = dice.bytes(16).toString('hex');
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
  const payload = dice.pick([
    () => `{"type":"POWER","targetValueKw":${numberText(dice)},"includeConsumption":${dice.chance(50)}}`,
    () => `{"commands":[{"deviceId":"B1","command":"BESS_CHARGE","params":{"powerKw":${numberText(dice)}}}]}`,
    () => `{"mode":"ZERO_EXPORT","reason":${stringText(dice, randomText(dice))}}`,
    () => `{"gridPowerKw":${numberText(dice)},"socPercent":${dice.below(100)}.0,"dataQuality":"GOOD"}`,
  ])();
  const members = [
    '"version":"1.1"',
    `"messageId":"${uuid}"`,
    '"timestamp":"2026-01-02T03:04:05.678Z"',
    '"source":"ref-esm"',
    `"siteId":"PLANT-${dice.below(100)}"`,
    `"payload":${payload}`,
  ];
  if (dice.chance(50)) members.push(`"signatureAlgo":"HMAC-SHA256"`);
  if (dice.chance(30)) members.push(`"signature":"${'A'.repeat(43)}"`);
  if (dice.chance(30)) members.push(`"signatureKid":${stringText(dice, randomText(dice))}`);
  return `{${shuffled(dice, members).join(',')}}`;
}

function documentText(dice) {
  const kind = dice.below(100);
  if (kind < 5) return envelopeText(dice);
  if (kind < 6) return tower(dice);
  if (kind < 30) return gap(dice) + numberText(dice) + gap(dice);
  if (kind < 35) return stringText(dice, randomText(dice));
  if (kind < 45) return arrayText(dice, 2);
  return gap(dice) + objectText(dice, 2) + gap(dice);
}

function line(text) {
  const document = JSON.parse(text);
  const signed = isSignable(document) ? { signature: signature(document) } : {};
  return JSON.stringify({ text, canonical: canonical(document), ...signed });
}

function distinctTexts(dice, count) {
  const texts = new Set();
  while (texts.size < count) texts.add(documentText(dice));
  return Array.from(texts);
}

function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
}

const dice = new Dice(option('seed', '1'));
const lines = distinctTexts(dice, Number(option('count', '21000'))).map(line);
const out = option('out', '');
if (out) writeFileSync(out, gzipSync(`${lines.join('\n')}\n`, { level: 9 }));
else process.stdout.write(`${lines.join('\n')}\n`);
