/** Where an archive lies in a bucket: what turns its keys into those of the bucket, and back. */
export class Place {
  /** As messages show it. */
  readonly url: string;
  readonly bucket: string;
  /** What all keys of the archive start with: empty, or with a slash at the end. */
  readonly root: string;

  /** `url` is `s3://bucket/prefix`, normalised. */
  constructor(url: string) {
    const [bucket = '', ...prefix] = url.slice('s3://'.length).split('/');
    this.url = url;
    this.bucket = bucket;
    this.root = prefix.length === 0 ? '' : `${prefix.join('/')}/`;
  }

  /** The key of the bucket. */
  full(key: string): string {
    return `${this.root}${key}`;
  }

  /** The key of the archive, or undefined where the object does not belong to it. */
  own(fullKey: string): string | undefined {
    return fullKey.length > this.root.length && fullKey.startsWith(this.root)
      ? fullKey.slice(this.root.length)
      : undefined;
  }
}
