/** The part of tr46 that this package calls; the package brings no types of its own. */
declare module 'tr46' {
  export function toASCII(
    domainName: string,
    options?: {
      checkBidi?: boolean;
      checkJoiners?: boolean;
      verifyDNSLength?: boolean;
      transitionalProcessing?: boolean;
    },
  ): string | null;
}
