import { DeleteObjectsCommand } from '@aws-sdk/client-s3/dist-es/commands/DeleteObjectsCommand.js';
import { GetObjectCommand } from '@aws-sdk/client-s3/dist-es/commands/GetObjectCommand.js';
import { HeadObjectCommand } from '@aws-sdk/client-s3/dist-es/commands/HeadObjectCommand.js';
import { ListObjectsV2Command } from '@aws-sdk/client-s3/dist-es/commands/ListObjectsV2Command.js';
import { PutObjectCommand } from '@aws-sdk/client-s3/dist-es/commands/PutObjectCommand.js';
import { S3Client } from '@aws-sdk/client-s3/dist-es/S3Client.js';

/**
 * The same parts of the SDK, from the files that they are written in: the executable would load each of its hundred
 * other commands at every start. Node can't read these files as they are.
 */
export const sdk = {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
};
