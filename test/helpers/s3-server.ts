/** A real S3 server in this process (@20minutes/s3rver): it checks signatures and keeps objects in files. */
import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { AwsClient } from 'aws4fetch';

interface S3rver {
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
}
const S3rver = createRequire(import.meta.url)('@20minutes/s3rver') as new (options: object) => S3rver;

/** The keys that it has; it cannot be given others. */
export const KEYS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };
const client = new AwsClient({ ...KEYS, region: 'us-east-1', service: 's3' });

export class S3Server {
  readonly #front: Server;
  readonly #port: number;
  /** So many uploads are answered with 503 first. */
  failures = 0;
  /** The headers of each upload that came. */
  readonly uploads: IncomingMessage['headers'][] = [];

  private constructor(
    private readonly server: S3rver,
    port: number,
  ) {
    this.#port = port;
    this.#front = createServer((incoming, response) => this.#forward(incoming, response));
  }

  static async start(directory: string, bucket: string): Promise<S3Server> {
    mkdirSync(directory, { recursive: true });
    const configureBuckets = [{ name: bucket, configs: [] }];
    const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory, configureBuckets });
    const s3 = new S3Server(server, (await server.run()).port);
    await new Promise<void>(resolve => s3.#front.listen(0, '127.0.0.1', resolve));
    return s3;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#front.address() as AddressInfo).port}`;
  }

  async keys(bucket: string): Promise<string[]> {
    const text = await (await client.fetch(`${this.url}/${bucket}?list-type=2`)).text();
    return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key!);
  }

  async object(bucket: string, key: string): Promise<{ bytes: Buffer; type: string | null }> {
    const response = await client.fetch(`${this.url}/${bucket}/${key}`);
    return { bytes: Buffer.from(await response.arrayBuffer()), type: response.headers.get('content-type') };
  }

  async close(): Promise<void> {
    this.#front.closeAllConnections();
    await new Promise(resolve => this.#front.close(resolve));
    await this.server.close();
  }

  /** As it came, the Host too: it is signed. */
  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const { method, url, headers } = incoming;
    if (method === 'PUT') {
      this.uploads.push(headers);
      if (this.failures > 0) {
        this.failures--;
        incoming
          .resume()
          .on('end', () => response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>'));
        return;
      }
    }
    const forwarded = request({ host: '127.0.0.1', port: this.#port, method, path: url, headers }, answer => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    incoming.pipe(forwarded);
  }
}
