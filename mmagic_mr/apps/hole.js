// Painting a hole over a picture: one canvas of the picture's own pixels for the hole,
// above the picture. The explorer's Draw button asks window.hole.mask() for it.
(() => {
  'use strict';
  const ready = new WeakSet();
  let current = null;

  function begin(box) {
    const {src, hole} = box.dataset;
    const [picture, canvas] = ['img', 'canvas'].map((name) => box.querySelector(name));
    const pen = canvas.getContext('2d', {willReadFrequently: true});
    const size = box.querySelector('input');
    let last = null;
    picture.onload = () => {
      [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
      pen.lineCap = pen.lineJoin = 'round';
      pen.strokeStyle = pen.fillStyle = '#fff';
      if (hole) {
        const before = new Image();
        before.onload = () => {
          pen.drawImage(before, 0, 0);
          toAlpha(pen, canvas);
          box.dataset.ready = '1';
        };
        before.src = hole;
      } else {
        box.dataset.ready = '1';
      }
    };
    picture.src = src;
    const place = (event) => {
      const area = canvas.getBoundingClientRect();
      return [
        ((event.clientX - area.left) / area.width) * canvas.width,
        ((event.clientY - area.top) / area.height) * canvas.height,
      ];
    };
    const paint = (from, to) => {
      pen.lineWidth = Math.max(1, (size.value / 100) * canvas.width);
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(...to);
      pen.stroke();
    };
    canvas.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      last = place(event);
      paint(last, last);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (!last) return;
      const next = place(event);
      paint(last, next);
      last = next;
    });
    for (const name of ['pointerup', 'pointercancel']) {
      canvas.addEventListener(name, () => (last = null));
    }
    box.querySelector('button').addEventListener('click', () => {
      pen.clearRect(0, 0, canvas.width, canvas.height);
    });
    current = canvas;
  }

  // A picture white on black becomes white on nothing.
  function toAlpha(pen, canvas) {
    const image = pen.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < image.data.length; i += 4) {
      image.data[i + 3] = image.data[i] > 127 ? 255 : 0;
    }
    pen.putImageData(image, 0, 0);
  }

  // What is painted at least half, white on black, without shades.
  function mask() {
    if (!current || !current.isConnected || !current.width) return '';
    const {width, height} = current;
    const image = current.getContext('2d').getImageData(0, 0, width, height);
    for (let i = 0; i < image.data.length; i += 4) {
      const value = image.data[i + 3] > 127 ? 255 : 0;
      image.data.set([value, value, value, 255], i);
    }
    const copy = document.createElement('canvas');
    [copy.width, copy.height] = [width, height];
    copy.getContext('2d').putImageData(image, 0, 0);
    return copy.toDataURL('image/png');
  }

  new MutationObserver(() => {
    for (const box of document.querySelectorAll('.hole-box')) {
      if (!ready.has(box)) {
        ready.add(box);
        begin(box);
      }
    }
  }).observe(document, {childList: true, subtree: true});
  window.hole = {mask};
})();
