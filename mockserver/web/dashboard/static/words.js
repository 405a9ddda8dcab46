// What conditions mean in a person's words, and what helps. The names are those of the vocabulary of the folders.

const WORDS = {
  'body-missing': 'The request has no body.',
  'not-json': 'The body is not JSON.',
  'not-multipart': 'The body is no multipart form.',
  'not-an-image': 'The file is no image.',
  'body-too-large': 'The body is larger than the provider takes.',
  'request-invalid': 'The request does not keep its schema.',
  'route-unknown': 'No operation stands at this path.',
  'method-unknown': 'The path is right, its method is not.',
  'too-many-calls': 'More calls came in a short time than the provider takes; wait as long as the answer says.',
  'too-slow': 'The answer took longer than the gateway waits.',
  'credentials-missing': 'The call carries no key. The first request on the start page shows where one goes.',
  'credentials-wrong': 'The key has not the form the provider asks, or is none of those this server was given.',
  'signature-wrong': 'The signature does not fit the request and the secret of its key.',
  'clock-skewed': 'The signed time is too far from this machine’s.',
  'nonce-reused': 'A value that counts once was sent again.',
  'digest-wrong': 'The digest does not fit the body.',
  'token-wrong': 'The token is not one that was given out.',
  'token-expired': 'The token has expired, on the world’s clock.',
  'origin-refused': 'The page that called is of another site.',
  'file-outside': 'The name leads out of the folder.',
  'link-expired': 'The link has expired, on the world’s clock; ask for the task again to get a fresh one.',
  'process-refused': 'The image cannot be processed as the link asks.',
  'workflow-invalid': 'ComfyUI would not run this graph.',
  'override-invalid': 'A value does not fit the input of the workflow it is for.',
  'node-failed': 'A node of the workflow failed.',
  'input-missing': 'An input file that the run names is not there.',
  'input-unreadable': 'An input file that the run names cannot be read.',
  'out-of-memory': 'The card had too little memory.',
  'timed-out': 'The run took longer than the provider allows.',
};
const SUFFIXES = {
  unknown: (kind) => `There is no such ${kind}.`,
  unnamed: (kind) => `The call names no ${kind}.`,
  foreign: (kind) => `The ${kind} belongs to another account.`,
  exists: (kind) => `Such a ${kind} is there already.`,
  'not-ready': (kind) => `The ${kind} is in a state that does not allow it.`,
  'in-use': (kind) => `The ${kind} is in use.`,
  barred: (kind) => `The ${kind} may not be used by this account.`,
  full: (kind) => `The ${kind} takes no more.`,
  invalid: (kind) => `The ${kind} does not pass a check.`,
};
const WANTED = {
  required: 'Required', type: 'Type wanted', enum: 'One of', const: 'Must be', minimum: 'At least', maximum: 'At most', pattern: 'Pattern',
  minLength: 'Least length', maxLength: 'Most length', minItems: 'Least number', maxItems: 'Most number', additionalProperties: 'Further members', format: 'Format',
};

/** Say what a condition means; one that nobody knows is said as it is. */
export function meaning(condition) {
  const suffix = Object.keys(SUFFIXES).find((one) => condition.endsWith(`-${one}`));
  return WORDS[condition] ?? (suffix ? SUFFIXES[suffix](condition.slice(0, -suffix.length - 1).replaceAll('-', ' ')) : condition);
}

/** Name what a rule of a schema wants: `request-schema-minimum` wants `At least`. */
export const wanted = (rule) => WANTED[Object.keys(WANTED).find((keyword) => rule.endsWith(`-${keyword}`))] ?? 'Right';

/** Write what a rule wants. */
export const written = (value) => (value === undefined || value === null ? undefined : Array.isArray(value) ? value.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join(', ') : typeof value === 'string' ? value : JSON.stringify(value));
