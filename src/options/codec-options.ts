/** Options of codecs: which one goes out, and how OPUS and AMR-WB are encoded. */
import * as v from 'valibot';
import { CODECS, ENCODINGS, type Encoding } from '../formats.js';
import { groupOrEmpty, onOff, option, whole } from './entry.js';

export const outboundCodec = v.pipe(
  v.strictObject({ encoding: v.picklist(ENCODINGS), sampleRate: v.optional(v.number()) }),
  v.check(
    ({ encoding, sampleRate }) =>
      sampleRate === undefined || CODECS[encoding].announcedRates.includes(sampleRate),
    'this encoding does not come at this sampleRate',
  ),
);

/** `L16@16000` as the option has it. */
export function parseCodec(given: string): unknown {
  const [, encoding = '', rate] = /^([^@]+)(?:@(\d{1,6}))?$/.exec(given) ?? [];
  if (encoding === '') return given;
  return rate === undefined ? { encoding } : { encoding, sampleRate: Number(rate) };
}

/** The encodings with their rates, as parseCodec() takes them. */
export const CODEC_REMEDY = ENCODINGS.map((encoding: Encoding) => {
  const rates = CODECS[encoding].announcedRates;
  return rates.length === 1 ? encoding : `${encoding}@${rates.join('|')}`;
}).join(', ');

export const OPUS_OPTIONS = groupOrEmpty('how OPUS is encoded ([docs/codecs.md](docs/codecs.md))', {
  bitrateBps: option(v.optional(whole(6000, 128_000)), {
    flag: '--opus-bitrate <bit/s>',
    unit: 'bit/s',
    text: 'bit rate of OPUS that is sent',
    defaultText: '16000 to 32000, by the rate',
  }),
  complexity: option(v.optional(whole(0, 10)), {
    flag: '--opus-complexity <n>',
    text: "the OPUS encoder's effort",
    defaultText: '5',
  }),
  dtx: option(v.optional(onOff), {
    flag: '--opus-dtx',
    text: 'OPUS sends almost nothing in silence',
    defaultText: 'false',
  }),
  fec: option(v.optional(onOff), {
    flag: '--opus-fec',
    text: 'each OPUS packet carries a coarse copy of the packet before it',
    defaultText: 'false',
  }),
  packetLossPercent: option(v.optional(whole(0, 100)), {
    flag: '--opus-packet-loss <percent>',
    unit: '%',
    text: 'the loss that OPUS prepares for',
    defaultText: '0; 5 with `opus.fec`',
  }),
});

export const AMRWB_OPTIONS = groupOrEmpty('how AMR-WB is encoded ([docs/codecs.md](docs/codecs.md))', {
  form: option(v.optional(v.picklist(['bandwidth-efficient', 'octet-aligned'])), {
    flag: '--amrwb-form <form>',
    text: 'payload format of AMR-WB that is sent',
    defaultText: 'bandwidth-efficient',
  }),
  mode: option(v.optional(whole(0, 8)), {
    flag: '--amrwb-mode <n>',
    text: 'bit rate of AMR-WB that is sent, 6.6 to 23.85 kbit/s',
    defaultText: '2',
  }),
  dtx: option(v.optional(onOff), {
    flag: '--amrwb-dtx',
    text: 'AMR-WB sends comfort noise in silence',
    defaultText: 'false',
  }),
});
