import {
  ageHeaderLength,
  encodeAgeHeader,
  parseAgeHeader,
  startsAgeHeader,
  type AgeHeader,
  type Stanza,
} from './age-header.ts';
import { invalid } from './invalid.ts';
import { encodeLabel, parseLabel, type Label } from './label.ts';
import type { Pieces } from './pieces.ts';
import { encodeLabelFrame, labelFrameLength, labelInFrame, startsLabelFrame } from './skippable.ts';

/** What precedes the payload: an age header whose first stanza is the label, or the label in a frame of zstd. */

/** Nothing longer is a header: it bounds what a reader keeps before it knows anything. */
export const HEAD_MAX_BYTES = 64 * 1024;
/** The first bytes tell the two kinds apart; both are longer than this. */
const TELLING_BYTES = 22;

const LABEL_TYPE = 'walseal-label';
const LABEL_VERSION = 'v1';

export interface Head {
  readonly label: Label;
  readonly bytes: Uint8Array;
  /** Absent where the object is not encrypted. */
  readonly age?: AgeHeader;
}

/** The head of an encrypted object. */
export function encodeSealedHead(label: Label, wraps: readonly Stanza[], fileKey: Uint8Array): Buffer {
  return encodeAgeHeader([{ type: LABEL_TYPE, args: [LABEL_VERSION], body: encodeLabel(label) }, ...wraps], fileKey);
}

/** The head of an object that is not encrypted. */
export function encodePlainHead(label: Label): Buffer {
  return encodeLabelFrame(encodeLabel(label));
}

/** Takes the head from the front of an object, whichever kind it is. Errors: Failure `invalid`. */
export async function takeHead(pieces: Pieces): Promise<Head> {
  let seenBytes = 0;
  const bytes = await pieces.takeHead(HEAD_MAX_BYTES, (seen) => {
    seenBytes = seen.length;
    if (seen.length < TELLING_BYTES) return undefined;
    if (startsAgeHeader(seen)) return ageHeaderLength(seen);
    if (startsLabelFrame(seen)) return labelFrameLength(seen);
    // A head of no bytes: whatever follows, it is not ours.
    return 0;
  });
  if (seenBytes === 0) throw invalid('object is empty');
  if (bytes?.length === 0) throw invalid('object is neither an age file nor starts with a label');
  if (bytes === undefined) throw invalid(`object has no whole header in its first ${HEAD_MAX_BYTES} bytes`);
  if (startsLabelFrame(bytes)) return { label: parseLabel(labelInFrame(bytes)), bytes };
  const age = parseAgeHeader(bytes);
  return { label: labelOf(age), bytes, age };
}

function labelOf({ stanzas }: AgeHeader): Label {
  const [first, ...others] = stanzas;
  if (others.some((stanza) => stanza.type === LABEL_TYPE))
    throw invalid('label is not the first stanza, or not the only label');
  if (first?.type !== LABEL_TYPE) throw invalid('object has no label: it is an age file of another origin');
  if (first.args.length !== 1 || first.args[0] !== LABEL_VERSION) {
    throw invalid(`label has the version "${first.args.join(' ')}", this program knows "${LABEL_VERSION}"`, {
      hint: 'A newer walseal may have written it.',
    });
  }
  return parseLabel(first.body);
}
