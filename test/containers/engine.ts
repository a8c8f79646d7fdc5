/** Whether containers can be had here. Where CI says that they must (TEST_CONTAINERS=required), their absence fails. */
import { getContainerRuntimeClient } from 'testcontainers';

export async function engineAvailable(): Promise<boolean> {
  try {
    await getContainerRuntimeClient();
    return true;
  } catch (error) {
    if (process.env.TEST_CONTAINERS === 'required') {
      throw new Error('TEST_CONTAINERS=required, but no container engine answers', {
        cause: error,
      });
    }
    process.stderr.write(
      '\n*** CONTAINER TESTS LEFT OUT: no container engine answers here. Start Docker or Podman and run npm test again. ***\n\n',
    );
    return false;
  }
}
