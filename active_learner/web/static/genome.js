// What the 128 bits of a melody mean: the same as active_learner/melody/genome.py, which a test holds it to.
export const BEATS = 32;
export const BITS_PER_BEAT = 4;
export const PAUSE = 8;
export const SCALE = [60, 62, 64, 65, 67, 69, 71, 72];
export const NAMES = ["C", "D", "E", "F", "G", "A", "B", "C"];

export const isGenome = (bits) => bits.length === BEATS * BITS_PER_BEAT && Array.from(bits).every((bit) => bit === 0 || bit === 1);

function value(bits, beat) {
  let sum = 0;
  for (let i = 0; i < BITS_PER_BEAT; i++) sum += bits[BITS_PER_BEAT * beat + i] << i;
  return sum;
}

// Tones and pauses, end to end; a pitch of null is a pause. An equal neighbour lengthens, a pause between breaks.
export function notes(bits) {
  const found = [];
  for (let beat = 0; beat < BEATS; beat++) {
    const degree = value(bits, beat);
    const pitch = degree < PAUSE ? SCALE[degree] : null;
    const last = found.at(-1);
    if (last && last.pitch === pitch) last.beats += 1;
    else found.push({ start: beat, beats: 1, pitch });
  }
  return found;
}

export const tones = (all) => all.filter((note) => note.pitch !== null).map((note) => ({ ...note, degree: SCALE.indexOf(note.pitch) }));

export function describe(all) {
  const sung = tones(all);
  if (!sung.length) return `Melody of ${BEATS} beats: silence.`;
  const silent = BEATS - sung.reduce((sum, note) => sum + note.beats, 0);
  const degrees = sung.map((note) => note.degree);
  const top = Math.max(...degrees);
  return `Melody of ${BEATS} beats: ${sung.length} notes, ${silent} beats of silence, from ${NAMES[Math.min(...degrees)]} to ${NAMES[top]}${top === 7 ? " above" : ""}.`;
}
