'use strict';
// The page of one participant. The server says what comes next; the page keeps
// nothing, so that a closed tab or a second device goes on where the answers end.

const $ = (id) => document.getElementById(id);
const token = location.pathname.split('/')[2];
const BREAK_EVERY = 50;
const RETRY_MS = 1000;
const MIN_FRAMES = 5; // to measure the refresh rate, also after a hidden tab
const KEYS = { f: 'fake', arrowleft: 'fake', j: 'real', arrowright: 'real' };

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const nextFrame = () => new Promise(requestAnimationFrame);
const once = (target, type) =>
  new Promise((done) => target.addEventListener(type, done, { once: true }));

// ---------------------------------------------------------------- server

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask until the server answers: a restart or a lost network costs only time. */
async function request(path, body) {
  const options = body && {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  };
  for (;;) {
    try {
      const response = await fetch(`/api/${token}${path}`, options);
      if (response.ok) {
        const image = response.headers.get('Content-Type') === 'image/png';
        const content = await (image ? response.blob() : response.json());
        $('notice').textContent = '';
        return content;
      }
      if (response.status < 500) {
        throw new Refusal(response.status, (await response.json()).error);
      }
    } catch (error) {
      if (error instanceof Refusal) throw error;
    }
    $('notice').textContent =
      'No connection to the study. Trying again; nothing is lost.';
    await sleep(RETRY_MS);
  }
}

// --------------------------------------------------------------- screens

function screen(name) {
  document.body.dataset.screen = name;
}

/** A page of text with one button; resolves when it is pressed. */
async function textScreen(name, heading, paragraphs, button) {
  $('trial').hidden = true;
  $('text').hidden = false;
  $('heading').textContent = heading;
  $('body').replaceChildren(
    ...paragraphs.map((paragraph) => {
      const element = document.createElement('p');
      element.textContent = paragraph;
      return element;
    }),
  );
  $('go').hidden = !button;
  $('go').textContent = button || '';
  // The consent is read from its top; elsewhere Space goes on at once.
  (button && name !== 'consent' ? $('go') : $('heading')).focus();
  window.scrollTo(0, 0);
  screen(name);
  if (!button) return;
  await once($('go'), 'click');
  screen('loading');
}

function showTrial(state) {
  const { practice, done } = state.trial;
  const total = practice ? state.practice : state.trials;
  $('text').hidden = true;
  $('trial').hidden = false;
  $('count').textContent = `${practice ? 'Practice' : 'Image'} ${done + 1} of ${total}`;
  $('progress').max = total;
  $('progress').value = done;
  $('prompt').textContent = '';
  $('choices').hidden = false;
  $('next').hidden = true;
}

// ----------------------------------------------------------------- stage

const pen = $('stage').getContext('2d', { alpha: false });

function prepareStage({ size: [width, height], display }) {
  const stage = $('stage');
  stage.width = width;
  stage.height = height;
  stage.style.width = `${display}px`;
}

function clearStage() {
  pen.fillStyle = '#808080';
  pen.fillRect(0, 0, pen.canvas.width, pen.canvas.height);
}

function drawCross() {
  const { width, height } = pen.canvas;
  const arm = Math.min(width, height) / 16;
  clearStage();
  pen.strokeStyle = '#fff';
  pen.lineWidth = Math.max(1, arm / 5);
  pen.beginPath();
  pen.moveTo(width / 2 - arm, height / 2);
  pen.lineTo(width / 2 + arm, height / 2);
  pen.moveTo(width / 2, height / 2 - arm);
  pen.lineTo(width / 2, height / 2 + arm);
  pen.stroke();
}

function drawImage(bitmap) {
  const { width, height } = pen.canvas;
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [w, h] = [bitmap.width * scale, bitmap.height * scale];
  clearStage();
  pen.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
}

/** Overlapping blocks of random color and size, to end the after-image. */
function makeMask() {
  const { width, height } = pen.canvas;
  const random = (low, high) => low + Math.random() * (high - low);
  const mask = Object.assign(document.createElement('canvas'), { width, height });
  const brush = mask.getContext('2d', { alpha: false });
  for (let i = 0; i < 600; i += 1) {
    const w = width * random(0.03, 0.2);
    const h = height * random(0.03, 0.2);
    brush.fillStyle = `hsl(${random(0, 360)} ${random(10, 80)}% ${random(10, 90)}%)`;
    brush.fillRect(random(-w, width), random(-h, height), w, h);
  }
  return mask;
}

const median = (values) =>
  values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Cross, image, mask. What is drawn in a frame's callback is shown by that frame. */
async function present(bitmap, { fixation, exposure }) {
  const mask = makeMask(); // ahead: in the image's last frame there is no time for it
  drawCross();
  screen('fixation');
  const start = await nextFrame();
  const lengths = [];
  let before = start;
  while (before - start < 1000 * fixation || lengths.length < MIN_FRAMES) {
    const now = await nextFrame();
    lengths.push(now - before);
    before = now;
  }
  const frameMs = median(lengths); // a phone may change its rate at any time

  const on = await nextFrame();
  drawImage(bitmap);
  screen('image');
  let frames = 0;
  let off;
  // To the frame nearest to the wanted end: a late one does not lengthen the exposure.
  do {
    off = await nextFrame();
    frames += 1;
  } while (off - on < 1000 * exposure - frameMs / 2);
  drawImage(mask);
  screen('mask');
  bitmap.close();
  // If the frame after comes late, so may have been the mask.
  const after = await nextFrame();
  return {
    on,
    shown_ms: off - on,
    frame_ms: frameMs,
    frames,
    dropped: Math.max(0, Math.round((after - on) / frameMs) - frames - 1),
  };
}

// --------------------------------------------------------------- answers

/** The participant's choice, by button or key, and when it was made. */
function choice() {
  return new Promise((done) => {
    const buttons = [$('fake'), $('real')];
    const finish = (answer, time) => {
      document.removeEventListener('keydown', onKey);
      for (const button of buttons) {
        button.disabled = true;
        button.onclick = null;
      }
      done({ answer, time });
    };
    const onKey = (press) => {
      const answer = KEYS[press.key.toLowerCase()];
      if (!answer || press.repeat || press.ctrlKey || press.altKey || press.metaKey) {
        return;
      }
      press.preventDefault();
      finish(answer, press.timeStamp);
    };
    for (const button of buttons) {
      button.disabled = false;
      button.onclick = (click) => finish(button.id, click.timeStamp);
    }
    document.addEventListener('keydown', onKey);
    $('prompt').textContent = 'Was it real or fake?';
    screen('answer');
  });
}

async function feedback(answer, truth) {
  clearStage();
  const verdict = answer === truth ? 'Right' : 'Wrong';
  $('prompt').textContent = `${verdict}: it was ${truth}.`;
  $('choices').hidden = true;
  $('next').hidden = false;
  $('next').focus();
  screen('feedback');
  await once($('next'), 'click');
  screen('loading');
}

/** One trial; returns the state after it. */
async function runTrial(state) {
  const path = state.trial.id;
  showTrial(state);
  clearStage();
  const bitmap = await createImageBitmap(await request(`/image/${path}`));
  while (document.hidden) await once(document, 'visibilitychange');
  const { on, ...timing } = await present(bitmap, state);
  const { answer, time } = await choice();
  screen('sending');
  const reply = await request(`/answer/${path}`, {
    answer,
    rt_ms: Math.max(0, time - on),
    ...timing,
  });
  if (reply.truth) await feedback(answer, reply.truth);
  return reply.state;
}

// ------------------------------------------------------------------ flow

async function introduce(state, previous) {
  const touch = matchMedia('(hover: none) and (pointer: coarse)').matches;
  const keys =
    'Look at the cross in the middle; the image follows at once. ' +
    'Answer with the buttons' +
    (touch ? '.' : ', or with the keys F or ← for fake, J or → for real.');
  const { practice, done } = state.trial;
  if (practice && !previous) {
    const left = state.practice - done;
    await textScreen('ready', 'Practice', [
      `${left} practice image${left === 1 ? '' : 's'}. You are told the answer ` +
        'after each.',
      keys,
    ], 'Start practice');
  } else if (!practice && (!previous || previous.trial.practice)) {
    const rest = state.trials - done;
    await textScreen('ready', done ? 'Welcome back' : 'Ready?', [
      `${rest} image${rest === 1 ? '' : 's'} to go. From here on you are not told ` +
        'the answer.',
      keys,
    ], done ? 'Go on' : 'Start');
  } else if (!practice && done % BREAK_EVERY === 0) {
    await textScreen('break', 'Time for a break', [
      `${done} of ${state.trials} images are done. Go on when you are ready.`,
    ], 'Go on');
  }
}

async function run() {
  let state = await request('');
  document.title = state.title;
  prepareStage(state);
  if (!state.agreed) {
    await textScreen('consent', state.title, state.consent.split(/\n\s*\n/),
      'I agree and want to take part');
    state = await request('/consent', {});
  }
  let previous = null;
  while (state.trial) {
    await introduce(state, previous);
    previous = state;
    try {
      state = await runTrial(state);
    } catch (error) {
      // Answered already (in another tab, or the reply got lost): see what is next.
      if (!(error instanceof Refusal) || error.status !== 409) throw error;
      state = await request('');
    }
  }
  await textScreen('done', 'Thank you!', [
    'All your answers are stored. You can close this page.',
  ]);
}

run().catch((error) => {
  textScreen('error', 'This did not work', [
    `${error.message}. Please reload the page, or ask the person who gave you ` +
      'the link.',
  ]);
});
