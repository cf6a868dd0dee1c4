/** The files of the SDK that sdk-parts.ts names have no types of their own. */

declare module '@aws-sdk/client-s3/dist-es/commands/DeleteObjectsCommand.js' {
  export { DeleteObjectsCommand } from '@aws-sdk/client-s3';
}
declare module '@aws-sdk/client-s3/dist-es/commands/GetObjectCommand.js' {
  export { GetObjectCommand } from '@aws-sdk/client-s3';
}
declare module '@aws-sdk/client-s3/dist-es/commands/HeadObjectCommand.js' {
  export { HeadObjectCommand } from '@aws-sdk/client-s3';
}
declare module '@aws-sdk/client-s3/dist-es/commands/ListObjectsV2Command.js' {
  export { ListObjectsV2Command } from '@aws-sdk/client-s3';
}
declare module '@aws-sdk/client-s3/dist-es/commands/PutObjectCommand.js' {
  export { PutObjectCommand } from '@aws-sdk/client-s3';
}
declare module '@aws-sdk/client-s3/dist-es/S3Client.js' {
  export { S3Client } from '@aws-sdk/client-s3';
}
