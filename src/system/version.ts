/** The version that `--version`, INFO and HELLO report as Damselfly's own. */
export const DAMSELFLY_VERSION = '0.1.0';

/** The Redis version whose behaviour is implemented; clients read it as `redis_version`. */
export const REDIS_VERSION = '7.0.15';

/** `REDIS_VERSION` as a number, as scripts read it: a byte for each part. */
export const REDIS_VERSION_NUMBER = REDIS_VERSION.split('.').reduce(
  (number, part) => (number << 8) | Number(part),
  0,
);
