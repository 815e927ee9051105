import t from 'tap';
import { formatAddress, isLoopbackAddress, packInternetAddress } from '../../src/network/socket-address.js';

t.test('addresses are packed and formatted', (t) => {
  const texts = [
    ['127.0.0.1', '127.0.0.1:6379'],
    ['255.1.20.3', '255.1.20.3:6379'],
    ['::', '[::]:6379'],
    ['::1', '[::1]:6379'],
    ['1::', '[1::]:6379'],
    ['fe80::1:0:0:2', '[fe80::1:0:0:2]:6379'],
    ['1:0:0:2:0:0:0:3', '[1:0:0:2::3]:6379'],
    ['2001:db8:0:1:1:1:1:1', '[2001:db8:0:1:1:1:1:1]:6379'],
    ['1:2:3:4:5:6:7:8', '[1:2:3:4:5:6:7:8]:6379'],
    ['::ffff:1.2.3.4', '[::ffff:102:304]:6379'],
  ];
  for (const [host, text] of texts) t.equal(formatAddress(packInternetAddress(host, 6379)), text);
  t.end();
});

t.test('loopback', (t) => {
  for (const address of ['', '127.0.0.1:1', '127.9.9.9:1', '[::1]:1']) t.ok(isLoopbackAddress(address));
  for (const address of ['128.0.0.1:1', '[::]:1', '10.0.0.1:1']) t.notOk(isLoopbackAddress(address));
  t.end();
});
