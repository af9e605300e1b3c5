/** How {@link FileService} serves; with every default. */
export interface FileServiceOptions {
  /** The directory, absolute and without symbolic links. */
  readonly root: string;
  /** Files that stay open on each shard. */
  readonly maxOpenFiles: number;
  /** How long a file is served without a look at whether it has changed, in milliseconds. */
  readonly revalidateMs: number;
  /** Memory of each shard for contents that were asked for, in bytes. */
  readonly cacheBytes: number;
}
