/** Commands to a stream's call: what is sent, when it is sent again, and how each refusal is told apart. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { VirtualClock } from '../../src/clock.js';
import {
  CallEndedError,
  type SidetoneError,
  StreamingNotInUseError,
  TelnyxUnavailableError,
  TelnyxUnreachableError,
} from '../../src/index.js';
import { createLog } from '../../src/log/log.js';
import { CallControl, CommandSender } from '../../src/telnyx/call-control.js';
import { type RestDouble, startRestDouble } from '../helpers/rest-double.js';
import { eventually } from '../helpers/servers.js';

const KEY = 'KEY0123456789abcdef_secret';
const CALL = 'v3:9X2vxPDFY2RHSJ1EdMS0RHRksMTg7ldNxdjWbVr9zBjbGjGsSe-aiQ';

let double: RestDouble;
let clock: VirtualClock;
let sender: CommandSender;
let control: CallControl;
let logged: string[];
let runsTexml: boolean;
/** Pauses between attempts pass at once, unless they are held. */
let isHeld: boolean;
let pauses: number[];

before(async () => {
  double = await startRestDouble(KEY);
});
after(() => double.close());
beforeEach(() => {
  double.requests.length = 0;
  double.ended.clear();
  double.refusing.clear();
  clock = new VirtualClock();
  isHeld = false;
  pauses = [];
  logged = [];
  runsTexml = false;
  const passing = {
    now: () => clock.now(),
    every: clock.every.bind(clock),
    after(delayMs: number, callback: () => void) {
      pauses.push(delayMs);
      const cancel = clock.after(delayMs, callback);
      if (!isHeld) clock.advance(delayMs);
      return cancel;
    },
  };
  const log = createLog('silent');
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    log[level] = ((fields: unknown, text?: string) =>
      void logged.push(`${level} ${text} ${inspect(fields)}`)) as typeof log.debug;
  }
  sender = new CommandSender({ clock: passing, log, api: () => ({ apiKey: KEY, apiBase: double.base }) });
  control = new CallControl(sender, { callControlId: CALL, streamId: 'a', runsTexml: () => runsTexml }, log);
});

async function refused(work: Promise<unknown>): Promise<SidetoneError> {
  const error = await work.then(
    () => assert.fail('it went through'),
    (reason: SidetoneError) => reason,
  );
  assert.ok(!inspect(error, { depth: 20, showHidden: true }).includes(KEY));
  return error;
}

describe('callControl', () => {
  it('sends each command with its fields, and only those', async () => {
    const commandId = '11111111-2222-4333-8444-555555555555';
    await control.hangup({ commandId, clientState: 'é' });
    await control.transfer('+15551234567', { commandId, from: '+15557654321', timeoutSeconds: 20 });
    await control.transfer('sip:desk@example.com', { commandId, fields: { from: '+1555', privacy: 'id' } });
    await control.sendDtmf('12#wA', { commandId, durationMs: 200 });
    await control.bridge('v3:other', { commandId });
    await control.stopStreaming({ commandId });
    await control.startRecording({ commandId, format: 'mp3', fields: { max_length: 60 } });
    await control.stopRecording({ commandId });
    await control.suppressNoise('both', { commandId });
    await control.suppressNoise('off', { commandId });
    const command_id = commandId;
    assert.deepEqual(
      double.requests.map(({ command, body, status }) => [command, body, status]),
      [
        ['hangup', { client_state: 'w6k=', command_id }, 200],
        ['transfer', { to: '+15551234567', from: '+15557654321', timeout_secs: 20, command_id }, 200],
        ['transfer', { to: 'sip:desk@example.com', from: '+1555', privacy: 'id', command_id }, 200],
        ['send_dtmf', { digits: '12#wA', duration_millis: 200, command_id }, 200],
        ['bridge', { call_control_id: 'v3:other', command_id }, 200],
        ['streaming_stop', { stream_id: 'a', command_id }, 200],
        ['record_start', { format: 'mp3', channels: 'single', max_length: 60, command_id }, 200],
        ['record_stop', { command_id }, 200],
        ['suppression_start', { direction: 'both', command_id }, 200],
        ['suppression_stop', { command_id }, 200],
      ],
    );
    for (const { callControlId, headers } of double.requests) {
      assert.equal(callControlId, CALL);
      assert.equal(headers.authorization, `Bearer ${KEY}`);
    }
    assert.ok(logged.length === 10 && !logged.some(line => line.includes(KEY) || line.includes('+1555')));
  });

  it('is sent again with the same command_id after 429, 5xx and a lost connection, and carried out once', async () => {
    double.failNext({ status: 429, times: 1, headers: { 'retry-after': '7' } });
    double.failNext({ status: 503, times: 1 });
    // The command is carried out, and its answer is lost.
    double.failNext({ status: 0, times: 1 });
    let carriedOut = 0;
    double.onCommand = () => {
      carriedOut++;
    };
    const { attempts, commandId } = await control.hangup();
    double.onCommand = undefined;
    assert.equal(attempts, 4);
    assert.equal(carriedOut, 1);
    assert.equal(pauses[0], 7000);
    assert.ok(pauses[1]! >= 750 && pauses[1]! <= 1000, `${pauses[1]} ms`);
    assert.deepEqual(
      new Set(double.requests.slice(2).map(({ body }) => body.command_id)),
      new Set([commandId]),
    );
    assert.equal(double.requests.at(-1)?.ignored, true);
    const other = await control.hangup();
    assert.notEqual(other.commandId, commandId);
  });

  it('gives up after three retries', async () => {
    double.failNext({ status: 500, times: 4 });
    assert.ok((await refused(control.hangup())) instanceof TelnyxUnavailableError);
    double.failNext({ status: 0, times: 4 });
    assert.ok((await refused(control.hangup())) instanceof TelnyxUnreachableError);
    assert.equal(double.requests.length, 8);
  });

  it('tells a call that has ended from other refusals, at once', async () => {
    double.ended.add(CALL);
    assert.ok((await refused(control.hangup())) instanceof CallEndedError);
    double.ended.clear();
    double.refusing.set(CALL, '90048');
    assert.ok((await refused(control.stopStreaming())) instanceof StreamingNotInUseError);
    assert.equal(double.requests.length, 2);
  });

  it('refuses wrong arguments without sending, and shows no number', async () => {
    const wrong: [() => Promise<unknown>, RegExp][] = [
      [() => control.transfer('the boss'), /^callControl\.transfer to: give a number such as \+15551234567/],
      [() => control.transfer('+1555 123'), /^callControl\.transfer to: give/],
      [() => control.sendDtmf('1x'), /^callControl\.sendDtmf digits: give keys/],
      [() => control.sendDtmf('1', { durationMs: 50 }), /durationMs: 50: give 100 to 500 ms/],
      [() => control.bridge(''), /^callControl\.bridge callControlId: "": give/],
      [() => control.startRecording({ format: 'ogg' as never }), /format: "ogg": give wav or mp3/],
      [
        () => control.startRecording({ channels: 'three' as never }),
        /channels: "three": give single or dual/,
      ],
      [() => control.suppressNoise('left' as never), /direction: "left": give inbound/],
    ];
    for (const [work, message] of wrong) {
      const error = await refused(work());
      assert.equal(error.code, 'SIDETONE_BAD_ARGUMENT');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /555 123/);
    }
    assert.equal(double.requests.length, 0);
  });

  it('names the option where there is no key', async () => {
    const environment = process.env.TELNYX_API_KEY;
    delete process.env.TELNYX_API_KEY;
    try {
      const keyless = new CommandSender({ clock, log: createLog('silent'), api: () => ({}) });
      const call = { callControlId: CALL, streamId: 'a', runsTexml: () => false };
      const error = await refused(new CallControl(keyless, call, createLog('silent')).hangup());
      assert.equal(error.code, 'SIDETONE_BAD_OPTION');
      assert.match(error.message, /hangup: no API key: give the option api\.key or api\.keyFile/);
    } finally {
      if (environment !== undefined) process.env.TELNYX_API_KEY = environment;
    }
  });

  it('sends nothing after the server has closed, and does not wait out a pause', async () => {
    isHeld = true;
    double.failNext({ status: 503, times: 1 });
    const waiting = refused(control.hangup());
    await eventually(() => pauses.length === 1, 'the pause');
    const done = sender.done();
    sender.close();
    const error = await waiting;
    assert.equal(error.code, 'SIDETONE_SERVER_CLOSED');
    assert.match(error.message, /after 1 attempt without an answer .* may have been carried out/);
    await done;
    assert.equal(clock.timers, 0);
    const late = await refused(control.hangup());
    assert.equal(late.code, 'SIDETONE_SERVER_CLOSED');
    assert.match(late.message, /the server has closed: it was not sent/);
    assert.equal(double.requests.length, 1);
  });

  it('warns of a transfer under TeXML, and sends it', async () => {
    await control.transfer('+15551234567');
    assert.equal(logged.filter(line => line.startsWith('warn')).length, 0);
    runsTexml = true;
    assert.equal(control.runsTexml, true);
    await control.transfer('+15551234567');
    const warnings = logged.filter(line => line.startsWith('warn'));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /its document hangs up when nothing follows <Connect>/);
    assert.equal(double.requests.length, 2);
  });
});
