/**
 * Scripts and what redis-server 7.0.15 replies to them (RESP2, with the keys k1 and k2 and the arguments a1 and a2). Strings have one
 * character per byte. `cases.test.ts` compares the engine with them, and them with redis-server if there is one.
 */
export const CASES: readonly (readonly [script: string, reply: string])[] = [
  [
    'redis.call()',
    '-ERR Please specify at least one argument for this redis lib call script: 23251039f40992dadef496cbfe3f3d23a6d314ce, on @user_script:1.\r\n',
  ],
  [
    'redis.call({})',
    '-ERR Lua redis lib command arguments must be strings or integers script: 2c79b56ef55f7dc96da28dddb6ba551017fb1480, on @user_script:1.\r\n',
  ],
  [
    "redis.call('bad')",
    '-ERR Unknown Redis command called from script script: 04931969e6d9f9618a4d0aee4da0c52000e53b58, on @user_script:1.\r\n',
  ],
  [
    "local ok,e = pcall(redis.call,'bad') local t={} for k,v in pairs(e) do t[#t+1]=k..'='..tostring(v) end return t",
    "-ERR user_script:1: bad argument #1 to 'pairs' (table expected, got string) script: 24a9fff807c424e8bfc341cec7304b6fb92b5541, on @user_script:1.\r\n",
  ],
  [
    "local e = redis.pcall('bad') local t={} for k,v in pairs(e) do t[#t+1]=k..'='..tostring(v) end return t",
    '*2\r\n$30\r\nignore_error_stats_update=true\r\n$48\r\nerr=ERR Unknown Redis command called from script\r\n',
  ],
  ["return redis.pcall('bad')", '-ERR Unknown Redis command called from script\r\n'],
  [
    "error('x')",
    '-ERR user_script:1: x script: 9851144f39f03a0d597a980c5aa79c80cb696891, on @user_script:1.\r\n',
  ],
  ["error({err='my'})", '-my script: b841045aa28e1086eaca5bb3d63c52503fc406c7, on @user_script:1.\r\n'],
  ['error()', '-ERR nil script: aca90d914519fdb9825352bdc0befb59f7c8510f, on @user_script:1.\r\n'],
  ["error('x',0)", '-ERR x script: 8f4889c5107712848127051ca91450584d2d6d6d, on @user_script:1.\r\n'],
  ["return {err='abc'}", '-abc\r\n'],
  ["return {err='ERR abc\\r\\nd'}", '-ERR abc  d\r\n'],
  ["return {ok='ab\\r\\nc'}", '+ab  c\r\n'],
  ["return redis.error_reply('abc')", '-ERR abc\r\n'],
  ["return redis.error_reply('-abc')", '-ERR abc\r\n'],
  ["return redis.error_reply('-')", '-ERR \r\n'],
  ["return redis.error_reply('')", '-ERR \r\n'],
  ['return redis.error_reply()', '-ERR wrong number or type of arguments\r\n'],
  ['return redis.error_reply({})', '-ERR wrong number or type of arguments\r\n'],
  ['return redis.error_reply(1)', '-ERR wrong number or type of arguments\r\n'],
  ['return redis.status_reply(1,2)', '-ERR wrong number or type of arguments\r\n'],
  ["return redis.status_reply('x')", '+x\r\n'],
  [
    'return redis.sha1hex()',
    '-ERR wrong number of arguments script: 3c7ce947ae74a835cc575b6ee87fb27503cb7ba4, on @user_script:1.\r\n',
  ],
  ["return redis.sha1hex('')", '$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n'],
  ['return redis.sha1hex(12.5)', '$40\r\n90db4c034fdf9f384fce435b9f9b57de9906c45c\r\n'],
  [
    'return redis.log(1)',
    '-ERR redis.log() requires two arguments or more. script: f5438245431406aa19fc387d93c6d03a0d5bcb0f, on @user_script:1.\r\n',
  ],
  [
    "return redis.log('a','b')",
    '-ERR First argument must be a number (log level). script: 0b33418de8f38b54c447ba6772ee3d6d6309b011, on @user_script:1.\r\n',
  ],
  [
    "return redis.log(9,'b')",
    '-ERR Invalid debug level. script: 11ed648f9b421677c51620f9bde79be6270e2a49, on @user_script:1.\r\n',
  ],
  [
    'return redis.setresp()',
    '-ERR redis.setresp() requires one argument. script: 76da64e28014e7c9ad76db33c3918c53d81a3d7e, on @user_script:1.\r\n',
  ],
  [
    'return redis.setresp(4)',
    '-ERR RESP version must be 2 or 3. script: 921c0a48021d97dfd5884aeea41875972c7804d9, on @user_script:1.\r\n',
  ],
  [
    'return redis.set_repl()',
    '-ERR redis.set_repl() requires two arguments. script: 9504533b41060c143a92eb2f8878e77d33b6dc33, on @user_script:1.\r\n',
  ],
  [
    'return redis.set_repl(9)',
    '-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. script: f43d522179aeb2c4dadb59b026d11ed249ca02e0, on @user_script:1.\r\n',
  ],
  ["return redis.set_repl('x')", '$-1\r\n'],
  ['return redis.replicate_commands()', ':1\r\n'],
  ['return redis.breakpoint()', '$-1\r\n'],
  ["return redis.debug('a')", '$-1\r\n'],
  [
    'return redis.register_function()',
    "-ERR user_script:1: attempt to call field 'register_function' (a nil value) script: 18e9ef7d82969cd67de1cb7cc23c00461b371a8a, on @user_script:1.\r\n",
  ],
  [
    'x=1',
    '-ERR user_script:1: Attempt to modify a readonly table script: 7caf6056913504f0508c65faf2dc3f94ff65bcfd, on @user_script:1.\r\n',
  ],
  [
    'return x',
    "-ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: 03c387736bb5cc009ff35151572cee04677aa374, on @user_script:1.\r\n",
  ],
  [
    'redis.x=1',
    '-ERR user_script:1: Attempt to modify a readonly table script: 5b2bc017c4ad02e0a4040b10e3482419e45c58b0, on @user_script:1.\r\n',
  ],
  [
    'redis.call=1',
    '-ERR user_script:1: Attempt to modify a readonly table script: 70f4e18b61fcf46601aff14fe2eaa0a7d2ff5e00, on @user_script:1.\r\n',
  ],
  [
    "rawset(_G,'x',1)",
    '-ERR Attempt to modify a readonly table script: 90860ee597073785c7a12c667667abc4495e2c78, on @user_script:1.\r\n',
  ],
  [
    "rawset(redis,'x',1)",
    '-ERR Attempt to modify a readonly table script: 7b6209d7fed36b4873b6a6cf0c3d3de1d89b9933, on @user_script:1.\r\n',
  ],
  [
    'setmetatable(_G,{})',
    '-ERR Attempt to modify a readonly table script: e8f1b52cec0990f58c59b37010d130cfdce9e1a5, on @user_script:1.\r\n',
  ],
  [
    'string.x=1',
    '-ERR user_script:1: Attempt to modify a readonly table script: 0200261db1e7771c266e77366576961c8f228af1, on @user_script:1.\r\n',
  ],
  [
    'table.insert(string,1)',
    '-ERR Attempt to modify a readonly table script: 88e24227b7ae37de8c151ae1137f61049fe748ad, on @user_script:1.\r\n',
  ],
  ['return getmetatable(_G)', '*0\r\n'],
  [
    'getmetatable(_G).__index=1',
    '-ERR user_script:1: Attempt to modify a readonly table script: 96d1db64a1931c322badf9841a84e590bd69d9ac, on @user_script:1.\r\n',
  ],
  ['a b', "-ERR Error compiling script (new function): user_script:1: '=' expected near 'b'\r\n"],
  [
    "return 'abc",
    "-ERR Error compiling script (new function): user_script:1: unfinished string near '<eof>'\r\n",
  ],
  [
    'return \nx()',
    "-ERR user_script:2: Script attempted to access nonexistent global variable 'x' script: 9826b3aa425ae276288c3e46666f4fa9b7c88f36, on @user_script:2.\r\n",
  ],
  [
    "return {1,2,{3,nil,4},true,false,1.9,-1.9,'x'}",
    '*8\r\n:1\r\n:2\r\n*1\r\n:3\r\n:1\r\n$-1\r\n:1\r\n:-1\r\n$1\r\nx\r\n',
  ],
  ['return 1e300', ':-9223372036854775808\r\n'],
  ['return 0/0', ':-9223372036854775808\r\n'],
  ['return {double=1.5}', '$3\r\n1.5\r\n'],
  ['return {map={a=1}}', '*2\r\n$1\r\na\r\n:1\r\n'],
  ['return {set={a=true}}', '*1\r\n$1\r\na\r\n'],
  ["return {verbatim_string={string='a',format='txt'}}", '$1\r\na\r\n'],
  ["return {big_number='12'}", '$2\r\n12\r\n'],
  ['return function() end', '$-1\r\n'],
  ['return coroutine.create(function() end)', '$-1\r\n'],
  ['return cjson.null', '$-1\r\n'],
  [
    'return debug',
    "-ERR user_script:1: Script attempted to access nonexistent global variable 'debug' script: 7f0eed9eaa523ec9e1ff69159f45a399473d9771, on @user_script:1.\r\n",
  ],
  ['return KEYS.x', '$-1\r\n'],
  [
    'string.rep()',
    "-ERR user_script:1: bad argument #1 to 'rep' (string expected, got no value) script: 2ec92a5bc2be10279b788c84861101755037b120, on @user_script:1.\r\n",
  ],
  [
    'local t = nil; t.x=1',
    "-ERR user_script:1: attempt to index local 't' (a nil value) script: 735496ad032147c69967cf9ddcee737f6685ebf6, on @user_script:1.\r\n",
  ],
  [
    "local function f() error('deep') end f()",
    '-ERR user_script:1: deep script: 6e55e4c7eeab6079f3ae18f9557aa936b9ac4ec8, on @user_script:1.\r\n',
  ],
  [
    'local function f() return f() + 1 end f()',
    '-ERR user_script:1: stack overflow script: 903e4e4d516d548a65e37d009ca2d74c7ef56f39, on @user_script:1.\r\n',
  ],
  ["return string.rep('x', 2^31)", '$0\r\n\r\n'],
  ["return pcall(string.rep, 'x', -1)", ':1\r\n'],
  ['return #{pcall(error)}', ':1\r\n'],
  [
    "return {redis.call('echo',1e15), redis.call('echo',1e20),redis.call('echo',0.1),redis.call('echo',1e17),redis.call('echo',2^53),redis.call('echo',-0.0),redis.call('echo',1/0),redis.call('echo',0/0),redis.call('echo',1.5e-7), redis.call('echo', 123456789012345678901)}",
    '*10\r\n$16\r\n1000000000000000\r\n$5\r\n1e+20\r\n$19\r\n0.10000000000000001\r\n$5\r\n1e+17\r\n$16\r\n9007199254740992\r\n$2\r\n-0\r\n$4\r\n-inf\r\n$4\r\n-nan\r\n$22\r\n1.4999999999999999e-07\r\n$22\r\n1.2345678901234568e+20\r\n',
  ],
  [
    "return {tostring(1e15), tostring(1e14),tostring(123456789012345), tostring(-0.0),tostring(1/0),tostring(0/0),tostring(-(0/0)),1e100 .. ''}",
    '*8\r\n$5\r\n1e+15\r\n$5\r\n1e+14\r\n$19\r\n1.2345678901234e+14\r\n$2\r\n-0\r\n$4\r\n-inf\r\n$4\r\n-nan\r\n$3\r\nnan\r\n$6\r\n1e+100\r\n',
  ],
  [
    "return {type(string.format('%d', 2^53)), string.format('%d', 2^31), string.format('%5.2f|%s|%q|%x|%c|%i|%u|%o|%e|%g|%G|%X', 1.5, 'a', 'b\\n\\0\\r\"', 255, 65, 3.9, -1, 8, 1e10, 1e20, 1e-10, 255)}",
    '*3\r\n$6\r\nstring\r\n$10\r\n2147483648\r\n$80\r\n 1.50|a|"b\\\n\\000\\r\\""|ff|A|3|18446744073709551615|10|1.000000e+10|1e+20|1E-10|FF\r\n',
  ],
  [
    "return string.format('%s %s', 1)",
    "-ERR user_script:1: bad argument #3 to 'format' (no value) script: 9fdfda15cf6ecbfd51fa186ad42fa7fb090c443a, on @user_script:1.\r\n",
  ],
  [
    "return string.format('%y', 1)",
    "-ERR user_script:1: invalid option '%y' to 'format' script: 5f049edbcb538c8748f6d1d19449a7474c6106bf, on @user_script:1.\r\n",
  ],
  [
    "return string.format('%123d', 1)",
    '-ERR user_script:1: invalid format (width or precision too long) script: 475062df53820d5b6542e3c4f4d7fdce9130e51a, on @user_script:1.\r\n',
  ],
  [
    "return string.find('a','[a')",
    "-ERR user_script:1: malformed pattern (missing ']') script: ba5b76403736eeaf9c3f709b36dd7c4404e005d7, on @user_script:1.\r\n",
  ],
  [
    "return string.find('a','%')",
    "-ERR user_script:1: malformed pattern (ends with '%') script: bb380b00f4eed639be7483b5c6091d89c95c6113, on @user_script:1.\r\n",
  ],
  [
    "return string.find('a','(a')",
    '-ERR user_script:1: unfinished capture script: 3f79ee3b4a0b9c50a95c90a66d0441942561478a, on @user_script:1.\r\n',
  ],
  [
    "return string.gsub('a','a)','b')",
    '-ERR user_script:1: invalid pattern capture script: e59e8f0c14eed7f45456171d495f3eeb1e773318, on @user_script:1.\r\n',
  ],
  [
    "return string.gsub('a','a','%2')",
    '-ERR user_script:1: invalid capture index script: 2c3c85a604aa2669b6c7a87ee7c77fd67e5dcba2, on @user_script:1.\r\n',
  ],
  [
    "return string.gsub('a','a',function() return {} end)",
    '-ERR user_script:1: invalid replacement value (a table) script: c2a3bd5ccf097bddce5ab11106f20109054ef962, on @user_script:1.\r\n',
  ],
  [
    "return string.gsub('a','a',true)",
    "-ERR user_script:1: bad argument #3 to 'gsub' (string/function/table expected) script: aa9a54cf329dc4527378f8dbea45c58bf9626208, on @user_script:1.\r\n",
  ],
  ["return {string.gsub('hello','','-')}", '*2\r\n$11\r\n-h-e-l-l-o-\r\n:6\r\n'],
  ["return {string.find('a\\0b','\\0')}", '*2\r\n:2\r\n:2\r\n'],
  ["return {string.find('a\\0b','%z')}", '*2\r\n:2\r\n:2\r\n'],
  ["return {string.find('THE (quick) fox','%((%a+)%)')}", '*3\r\n:5\r\n:11\r\n$5\r\nquick\r\n'],
  ["return {string.find('THE (quick) fox','%f[%a]%a+')}", '*2\r\n:1\r\n:3\r\n'],
  ["return loadstring('return 1')()", ':1\r\n'],
  ["return {loadstring('x x')}", '*0\r\n'],
  ['return {load(function() return nil end)}', '*1\r\n$-1\r\n'],
  [
    'return {load(5)}',
    "-ERR user_script:1: bad argument #1 to 'load' (function expected, got number) script: 5821fd74ae0d1f4befb20f98dcb0fd0ac2d8c203, on @user_script:1.\r\n",
  ],
  [
    "return collectgarbage('foo')",
    "-ERR user_script:1: bad argument #1 to 'collectgarbage' (invalid option 'foo') script: f88c2e2248f8b5ada595baabf10599f4bba476f4, on @user_script:1.\r\n",
  ],
  [
    "local f = coroutine.wrap(function() redis.call('bad') end) f()",
    '-ERR Unknown Redis command called from script script: 4082427b6dc04d9aa6f5a30bd6545da2913f9522, on @user_script:1.\r\n',
  ],
  [
    "local co = coroutine.create(function() redis.call('bad') end) local ok, e = coroutine.resume(co) return {tostring(ok), type(e), type(e)=='table' and e.err or e}",
    '*3\r\n$5\r\nfalse\r\n$5\r\ntable\r\n$44\r\nERR Unknown Redis command called from script\r\n',
  ],
  [
    "local co = coroutine.create(function() error('x') end) local ok, e = coroutine.resume(co) return {tostring(ok), type(e), type(e)=='table' and e.err or e}",
    '*3\r\n$5\r\nfalse\r\n$6\r\nstring\r\n$16\r\nuser_script:1: x\r\n',
  ],
  [
    "local ok, e = xpcall(function() redis.call('bad') end, function(e) return e end) return {tostring(ok), type(e), type(e)=='table' and e.err or e}",
    '*3\r\n$5\r\nfalse\r\n$5\r\ntable\r\n$44\r\nERR Unknown Redis command called from script\r\n',
  ],
  [
    "local ok, e = pcall(function() error({err='a'}) end) return {tostring(ok), type(e), type(e)=='table' and e.err or e}",
    '*3\r\n$5\r\nfalse\r\n$6\r\nstring\r\n$1\r\na\r\n',
  ],
  [
    "local ok, e = pcall(function() error({a=1}) end) return {tostring(ok), type(e), type(e)=='table' and e.err or e}",
    '*3\r\n$5\r\nfalse\r\n$5\r\ntable\r\n*0\r\n',
  ],
  [
    "local ok, e = pcall(function() error({err=1}) end) return {tostring(ok), type(e), type(e)=='table' and e.err or e}",
    '*3\r\n$5\r\nfalse\r\n$6\r\nnumber\r\n:1\r\n',
  ],
  ['return pcall()', '$-1\r\n'],
  [
    'return xpcall()',
    "-ERR user_script:1: bad argument #2 to 'xpcall' (value expected) script: 4ffa146be44b8351d7fd53b4efd48d195c6cb734, on @user_script:1.\r\n",
  ],
  [
    "local t = setmetatable({}, {__index=function(t,k) error('deep ' .. k) end}) return t.x",
    '-ERR user_script:1: deep x script: a6d2a00c9ebdf74e80bd44ab0ab1638065252ba6, on @user_script:1.\r\n',
  ],
  [
    'local t = {} t[nil]=1',
    '-ERR user_script:1: table index is nil script: ab3291694335a21d92cf13217a74608f94485c58, on @user_script:1.\r\n',
  ],
  [
    'return 1 + {}',
    '-ERR user_script:1: attempt to perform arithmetic on a table value script: 8ab7d53c27e34dc602fbe3688d99968c695c98e4, on @user_script:1.\r\n',
  ],
  [
    'return {} < {}',
    '-ERR user_script:1: attempt to compare two table values script: fe12717409b91d7c0c64c39528a098f1c423fefe, on @user_script:1.\r\n',
  ],
  [
    "return 'a' .. {}",
    '-ERR user_script:1: attempt to concatenate a table value script: 95977416906beda661539750606328a1ff5294bf, on @user_script:1.\r\n',
  ],
  [
    'return #5',
    '-ERR user_script:1: attempt to get length of a number value script: ffe83ca6101f6ad505d8608927f3d3b8a836e154, on @user_script:1.\r\n',
  ],
  [
    'return unpack({}, 1, 1e7)',
    '-ERR user_script:1: too many results to unpack script: 356217fdde0d2a944fdd969d9d54c10d06db610d, on @user_script:1.\r\n',
  ],
  [
    'return select(0)',
    "-ERR user_script:1: bad argument #1 to 'select' (index out of range) script: 70b55a93a3790ab47c0165baf2bf51e1f37155e2, on @user_script:1.\r\n",
  ],
  [
    'local t = {} for i=1,8000 do t[i]=i end return #{unpack(t)}',
    '-ERR user_script:1: too many results to unpack script: dc55155f11ea6961a08da74cb0926822c25ccf63, on @user_script:1.\r\n',
  ],
  ["return tonumber('0x10')", ':16\r\n'],
  [
    "return {tonumber('1e1'), tonumber(' 10 '), tonumber('10',2), tonumber('zz',36), tostring(tonumber('')), tonumber('0x')}",
    '*5\r\n:10\r\n:10\r\n:2\r\n:1295\r\n$3\r\nnil\r\n',
  ],
  [
    'return tostring(print)',
    "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: 50e61e85eba593e1799109dab972c83f9ff690fc, on @user_script:1.\r\n",
  ],
  ['#!lua flags=no-writes\nreturn 1', ':1\r\n'],
  ['#!lua flags=xx\nreturn 1', '-ERR Unexpected flag in script shebang: xx\r\n'],
  ['#!lua name=a\nreturn 1', '-ERR Unknown lua shebang option: name=a\r\n'],
  ['#!py\nreturn 1', '-ERR Unexpected engine in script shebang: #!py\r\n'],
  ['#!lua', '-ERR Invalid script shebang\r\n'],
  [
    'local ok,e = pcall(function() redis.x=1 end) return e',
    '$49\r\nuser_script:1: Attempt to modify a readonly table\r\n',
  ],
  [
    "local ok,e = pcall(function() rawset(redis,'x',1) end) return e",
    '$34\r\nAttempt to modify a readonly table\r\n',
  ],
  [
    'local ok,e = pcall(function() table.insert(redis,1) end) return e',
    '$34\r\nAttempt to modify a readonly table\r\n',
  ],
  ['local ok,e = pcall(table.insert, redis, 1) return e', '$34\r\nAttempt to modify a readonly table\r\n'],
  [
    'local ok,e = pcall(function() x=1 end) return e',
    '$49\r\nuser_script:1: Attempt to modify a readonly table\r\n',
  ],
  [
    'return {pcall(function() return y end)}',
    "*2\r\n$-1\r\n$73\r\nuser_script:1: Script attempted to access nonexistent global variable 'y'\r\n",
  ],
  [
    'local a,b = pcall() return {tostring(a),tostring(b)}',
    '*2\r\n$5\r\nfalse\r\n$31\r\nattempt to call a boolean value\r\n',
  ],
  ["return select('#', pcall(error,{a=1}))", ':3\r\n'],
  [
    'local function f() local t=nil; return t.x end  f()',
    "-ERR user_script:1: attempt to index local 't' (a nil value) script: dd05e7e3d21162176f74d0c34f1175a8dd5c3ccc, on @user_script:1.\r\n",
  ],
  [
    "string.format('%d','x')",
    "-ERR user_script:1: bad argument #2 to 'format' (number expected, got string) script: 2dfab796caae7e474b2a54dadbec0bc3c60e781a, on @user_script:1.\r\n",
  ],
  [
    "local function g() string.format('%d','x') end g()",
    "-ERR user_script:1: bad argument #2 to 'format' (number expected, got string) script: f033b254beb6dd59422e8e4f047a8787c142889e, on @user_script:1.\r\n",
  ],
  [
    'return _G[1]',
    "-ERR user_script:1: Script attempted to access nonexistent global variable '1' script: 0091a13ad00ce89d838ef5c652c12912460a3d1c, on @user_script:1.\r\n",
  ],
  [
    'return _G[{}]',
    '-ERR user_script:1: Second argument to luaProtectedTableError must be a string or number script: f5e46ffa995d057195858d2ec284417949577337, on @user_script:1.\r\n',
  ],
  [
    'return _G[true]',
    '-ERR user_script:1: Second argument to luaProtectedTableError must be a string or number script: a5fb9501a2e4fbb131676c3a0b4e087c474f92b4, on @user_script:1.\r\n',
  ],
  [
    "return _G['a\\0b']",
    "-ERR user_script:1: Script attempted to access nonexistent global variable 'a' script: ce9dfa8177acb98c2dae2f390a01af067c23ad28, on @user_script:1.\r\n",
  ],
  [
    "local f=coroutine.wrap(function() error('in co') end)\nf()",
    '-ERR user_script:2: user_script:1: in co script: f61941fa8e93c9eb4e19e4c5cbfb9fa8408da2d8, on @user_script:2.\r\n',
  ],
  [
    'local f=coroutine.wrap(function() local x = nil + 1 end)\nf()',
    '-ERR user_script:2: user_script:1: attempt to perform arithmetic on a nil value script: 64d47538bf1d3ae425933cb9fa9a256662517823, on @user_script:2.\r\n',
  ],
  ["return redis.error_reply('MY code')", '-MY code\r\n'],
  ["return redis.error_reply('-MY code')", '-MY code\r\n'],
  ["return redis.error_reply('MYcode')", '-ERR MYcode\r\n'],
  ["return redis.error_reply('MY\\r\\n code\\r\\n')", '-MY   code\r\n'],
  ["return redis.error_reply('MY \\r\\n code\\r\\n')", '-MY  code\r\n'],
  ["return redis.error_reply('MY a\\0 code\\r\\n')", '-MY a\r\n'],
  ["return {err='a\\0b'}", '-a\r\n'],
  ["return {ok='a\\0b'}", '+a\r\n'],
  [
    "error('a\\0b')",
    '-ERR user_script:1: a script: 5f5ac4831d66dd38653b036c54cfd07d78762d8c, on @user_script:1.\r\n',
  ],
  ["return {err=''}", '-\r\n'],
  ["return {err='\\r\\n'}", '-\r\n'],
  ["return {ok=''}", '+\r\n'],
  ['return {ok=1}', '*0\r\n'],
  ['return {err=1}', '*0\r\n'],
  ['error({err=1})', '-1 script: 70f082e4ab042f55a6e12465953fb84757fb372f, on @user_script:1.\r\n'],
  [
    "error({err='a',source='b',line=1})",
    '-a script: 2cb985021311faf5c64b10d8de6484e035b3ed3a, on @user_script:1.\r\n',
  ],
  [
    "error({err='a',source={},line=1})",
    '-a script: 1dd69d318c93c72e6be0d1ab829a66760ee35178, on @user_script:1.\r\n',
  ],
  ["return {err='a',source='b',line=1}", '-a\r\n'],
  [
    "error('a\\r\\nb\\r\\n')",
    '-ERR user_script:1: a  b   script: 217ca6ea44416a1a05c0dda0cf446c85ddda1aa0, on @user_script:1.\r\n',
  ],
  [
    "error({err='a\\r\\nb\\r\\n'})",
    '-a  b   script: 7b07576ed09f0fbb49e56666015175552f1c0d0f, on @user_script:1.\r\n',
  ],
  ["return {verbatim_string={string='abc',format='t'}}", '$3\r\nabc\r\n'],
  ["return {verbatim_string={string='abc'}}", '*0\r\n'],
  ["return {double='1.5'}", '*0\r\n'],
  ['return {double=1e100}', '$6\r\n1e+100\r\n'],
  ['return {double=0/0}', '$4\r\n-nan\r\n'],
  ['return {double=1/0}', '$3\r\ninf\r\n'],
  ['return {map={1,2,{3}}}', '*6\r\n:1\r\n:1\r\n:2\r\n:2\r\n:3\r\n*1\r\n:3\r\n'],
  ['return {map={[1.5]=true}}', '*2\r\n:1\r\n:1\r\n'],
  ["return {map={err='x'}}", '*2\r\n$3\r\nerr\r\n$1\r\nx\r\n'],
  ["return {{err='x'},{ok='y'}}", '*2\r\n-x\r\n+y\r\n'],
  ['redis.setresp(3) return {true,false}', '*2\r\n:1\r\n:0\r\n'],
  ["redis.setresp('3') return 1", ':1\r\n'],
  ['redis.setresp(2.5) return 1', ':1\r\n'],
  [
    'return {cmsgpack._NAME,cmsgpack._VERSION,cmsgpack._COPYRIGHT,cmsgpack._DESCRIPTION,cjson._NAME,cjson._VERSION}',
    '*6\r\n$8\r\ncmsgpack\r\n$18\r\nlua-cmsgpack 0.4.0\r\n$40\r\nCopyright (C) 2012, Salvatore Sanfilippo\r\n$36\r\nMessagePack C implementation for Lua\r\n$5\r\ncjson\r\n$5\r\n2.1.0\r\n',
  ],
  [
    "return struct.pack('c5','ab')",
    "-ERR user_script:1: bad argument #3 to 'pack' (string too short) script: b916690fc9a740092944345811c3302adec3cc65, on @user_script:1.\r\n",
  ],
  [
    "return struct.pack('z')",
    "-ERR user_script:1: bad argument #1 to 'pack' (invalid format option 'z') script: e1609934105e09f0f9875aca64d1574a895df820, on @user_script:1.\r\n",
  ],
  [
    "return {struct.unpack('i','ab')}",
    "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short) script: c2bef0e5528b4cb1a7cbfa0922ad1a9532a16a04, on @user_script:1.\r\n",
  ],
  [
    "return struct.size('s')",
    "-ERR user_script:1: bad argument #1 to 'size' (option 's' has no fixed size) script: a2a0525826ab7939ccd3f54427a862205642f28f, on @user_script:1.\r\n",
  ],
  [
    "return struct.size('c0')",
    "-ERR user_script:1: bad argument #1 to 'size' (option 'c0' has no fixed size) script: 18f217e7d560de92703dc71e9797e043b536e0e6, on @user_script:1.\r\n",
  ],
  [
    "return struct.size('i33')",
    '-ERR user_script:1: integral size 33 is larger than limit of 32 script: 971b8442ed57a477454e5ab5cf888849b8b0f029, on @user_script:1.\r\n',
  ],
  [
    "return struct.pack('!3')",
    '-ERR user_script:1: alignment 3 is not a power of 2 script: 1792df9610f881fb36c753c4ba7c23fd4bed89ac, on @user_script:1.\r\n',
  ],
  [
    "return {struct.unpack('i', 'abcd', 0)}",
    "-ERR user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater) script: b75b006a2f3f6e8d842a94e5f3579ac1cd346c4f, on @user_script:1.\r\n",
  ],
  [
    "return {struct.unpack('c0', 'abcd')}",
    "-ERR user_script:1: format 'c0' needs a previous size script: 9fbda9566ba9b7cbf07d69a04df54c6da7e9830c, on @user_script:1.\r\n",
  ],
  [
    "return {struct.unpack('s', 'abcd')}",
    '-ERR user_script:1: unfinished string in data script: 6411263da149c14568c13a05bab1d051f37d7ef6, on @user_script:1.\r\n',
  ],
  [
    "return struct.pack('>bBhHiIlLfd', -1, 255, -2, 65535, -3, 4294967295, -4, 5, 1.5, -2.25)",
    '$42\r\n\u00ff\u00ff\u00ff\u00fe\u00ff\u00ff\u00ff\u00ff\u00ff\u00fd\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00fc\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0005?\u00c0\u0000\u0000\u00c0\u0002\u0000\u0000\u0000\u0000\u0000\u0000\r\n',
  ],
  [
    "return {struct.unpack('>I2s!8d', struct.pack('>I2s!8d', 513, 'text', 1.5))}",
    '*4\r\n:513\r\n$4\r\ntext\r\n:1\r\n:17\r\n',
  ],
  ["return struct.size('!8bdi')", ':20\r\n'],
  [
    'return cmsgpack.pack()',
    "-ERR user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.) script: 6bc235afa55de88253e203cc5fe5844792e25209, on @user_script:1.\r\n",
  ],
  ["return {cmsgpack.unpack('')}", '*0\r\n'],
  [
    "return {cmsgpack.unpack('\\193')}",
    '-ERR user_script:1: Bad data format in input. script: 4370c4369e4c339c56b8ad64adc652c10d7953b5, on @user_script:1.\r\n',
  ],
  ...[196, 197, 198].map(
    (code) =>
      [
        `return {pcall(cmsgpack.unpack, '\\${code}\\1')}`,
        '*2\r\n$-1\r\n$25\r\nBad data format in input.\r\n',
      ] as const,
  ),
  [
    'error(redis)',
    '-ERR err_handler_def:10: Attempt to modify a readonly table script: 9c663bc48a6e4aa1834d259e236a9dce567c26be, on @err_handler_def:10.\r\n',
  ],
  ["return {err = '\\nfirst\\nsecond\\r\\n'}", '- first second\r\n'],
  [
    "return {cmsgpack.unpack('\\146\\1')}",
    '-ERR user_script:1: Missing bytes in input. script: 6257cdcf8ad148ec52395b072561d9f5daf4af49, on @user_script:1.\r\n',
  ],
  [
    "return {cmsgpack.unpack_one('a', 5)}",
    '-ERR user_script:1: Start offset 5 greater than input length 1. script: 2bb2dddd560309526988b16f52f5fc601796a521, on @user_script:1.\r\n',
  ],
  [
    "return {cmsgpack.unpack_one('a', -1)}",
    '-ERR user_script:1: Invalid request to unpack with offset of -1 and limit of 1. script: 7298d22cd317dfa51464a5b086fa59f6a040d03d, on @user_script:1.\r\n',
  ],
  ["return {cmsgpack.unpack_limit('abc', 2)}", '*3\r\n:2\r\n:97\r\n:98\r\n'],
  [
    "return {cmsgpack.unpack_limit('abc')}",
    "-ERR user_script:1: bad argument #2 to 'unpack_limit' (number expected, got no value) script: a3ae33bb8645f95a55881fe13f8fc4f125cf4aea, on @user_script:1.\r\n",
  ],
  ['return cmsgpack.unpack(1)', ':49\r\n'],
  [
    "return cmsgpack.pack(1, -1, 127, 128, 255, 256, 65536, 4294967296, -32, -33, -129, -32769, 1.5, 0.1, true, false, nil, 'text')",
    '$57\r\n\u0001\u00ff\u007f\u00cc\u0080\u00cc\u00ff\u00cd\u0001\u0000\u00ce\u0000\u0001\u0000\u0000\u00cf\u0000\u0000\u0000\u0001\u0000\u0000\u0000\u0000\u00e0\u00d0\u00df\u00d1\u00ff\u007f\u00d2\u00ff\u00ff\u007f\u00ff\u00ca?\u00c0\u0000\u0000\u00cb?\u00b9\u0099\u0099\u0099\u0099\u0099\u009a\u00c3\u00c2\u00c0\u00a4text\r\n',
  ],
  [
    'return cmsgpack.pack({1, 2, {a = 1}}, {}, {[1] = 1, [3] = 3})',
    '$13\r\n\u0093\u0001\u0002\u0081\u00a1a\u0001\u0090\u0082\u0001\u0001\u0003\u0003\r\n',
  ],
  [
    "return {cmsgpack.unpack(cmsgpack.pack({1, {2, {3}}}, 'x', 1e10, -1e10))}",
    '*4\r\n*2\r\n:1\r\n*2\r\n:2\r\n*1\r\n:3\r\n$1\r\nx\r\n:10000000000\r\n:-10000000000\r\n',
  ],
  [
    'local t = {} local r = t for i = 1, 20 do t[1] = {} t = t[1] end return cmsgpack.pack(r)',
    '$17\r\n\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u0091\u00c0\r\n',
  ],
  [
    'return cjson.encode()',
    "-ERR user_script:1: bad argument #1 to 'encode' (expected 1 argument) script: fc593ea31f478c7ed65c77495cc63edeb9153530, on @user_script:1.\r\n",
  ],
  [
    'return cjson.encode(1,2)',
    "-ERR user_script:1: bad argument #1 to 'encode' (expected 1 argument) script: 9796fc0f4acc8ba1f9133e705bfd4aa24561765a, on @user_script:1.\r\n",
  ],
  [
    'return cjson.encode(function() end)',
    '-ERR user_script:1: Cannot serialise function: type not supported script: c6600573aa08cdf0af5da6e0ef682db69a3acc00, on @user_script:1.\r\n',
  ],
  [
    'return cjson.encode({[100]=1})',
    '-ERR user_script:1: Cannot serialise table: excessively sparse array script: 243ae02f9afc0be626fe67fee40222f573bbd505, on @user_script:1.\r\n',
  ],
  [
    'return cjson.encode({[true]=1})',
    '-ERR user_script:1: Cannot serialise boolean: table key must be a number or string script: 376a640005c8509c694166527ca834359bf69aa8, on @user_script:1.\r\n',
  ],
  [
    'return cjson.encode(0/0)',
    '-ERR user_script:1: Cannot serialise number: must not be NaN or Inf script: d3f8d4e745d6587b04e9dd216e0d4631f0a306d9, on @user_script:1.\r\n',
  ],
  [
    "return cjson.encode({1, 2.5, 1e100, -0.1, 1e15, 'x/y\"\\\\\\n\\1\\127', true, false, cjson.null, {}, {a = {1}}})",
    '$79\r\n[1,2.5,1e+100,-0.1,1e+15,"x\\/y\\"\\\\\\n\\u0001\\u007f",true,false,null,{},{"a":[1]}]\r\n',
  ],
  [
    "return cjson.decode('[1,2')",
    '-ERR user_script:1: Expected comma or array end but found T_END at character 5 script: c107001b5ba2ff860ee2557f64da37c4767ef4bd, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('{1:2}')",
    '-ERR user_script:1: Expected object key string but found T_NUMBER at character 2 script: b7dfc51e0d5bf164c246fe708a2e33743e899be6, on @user_script:1.\r\n',
  ],
  [
    'return cjson.decode(\'{"a" 2}\')',
    '-ERR user_script:1: Expected colon but found T_NUMBER at character 6 script: 53f0a907a457a723a04a12b158e74d644432a6dc, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('abc')",
    '-ERR user_script:1: Expected value but found invalid token at character 1 script: 479677ad83b8aed69da4ac943e59c21eb19786c0, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('nul')",
    '-ERR user_script:1: Expected value but found invalid token at character 1 script: 5586fdf8c512d9c8a68678c91a0de23617e84e25, on @user_script:1.\r\n',
  ],
  [
    'return cjson.decode(\'"\\\\x"\')',
    '-ERR user_script:1: Expected value but found invalid escape code at character 2 script: e15fa517a0e30bc5ba472a9403d98fe6c88ca8e5, on @user_script:1.\r\n',
  ],
  [
    'return cjson.decode(\'"\\\\ud800"\')',
    '-ERR user_script:1: Expected value but found invalid unicode escape code at character 2 script: 614364f6c9d9a8370605ddedbdbe5d726346f810, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('\"abc')",
    '-ERR user_script:1: Expected value but found unexpected end of string at character 5 script: 30d67c6fb8e066eef4796bfcc59cee500c381744, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('1 2')",
    '-ERR user_script:1: Expected the end but found T_NUMBER at character 3 script: 1408d9a9f8459030a4a353692b905ad7a0ddb424, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('')",
    '-ERR user_script:1: Expected value but found T_END at character 1 script: 7ff8cf86abed928f4d61a01dcc9713f0117b180a, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('a\\0')",
    '-ERR user_script:1: JSON parser does not support UTF-16 or UTF-32 script: 69f6bbb096a19f47ab62fd7adb63b632dfb2a6e4, on @user_script:1.\r\n',
  ],
  [
    'return cjson.decode(\'"\\\\u00e9\\\\ud83d\\\\ude00\\\\n"\')',
    '$7\r\n\u00c3\u00a9\u00f0\u009f\u0098\u0080\n\r\n',
  ],
  ["return tostring(cjson.decode('nan'))", '$3\r\nnan\r\n'],
  ["return tostring(cjson.decode('0x10'))", '$2\r\n16\r\n'],
  ["return tostring(cjson.decode('+1'))", '$1\r\n1\r\n'],
  [
    "return tostring(cjson.decode('-'))",
    '-ERR user_script:1: Expected value but found invalid number at character 1 script: cfc3f0852d824d5425614b04a6ace5d7a20b6688, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode('[1e3, -0.5, 123456789012345678901234567890, 0.1]')",
    '*4\r\n:1000\r\n:0\r\n:-9223372036854775808\r\n:0\r\n',
  ],
  [
    'return cjson.encode_max_depth(0)',
    "-ERR user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647) script: f40da52b0819d675b8802812b1c4504462426d31, on @user_script:1.\r\n",
  ],
  [
    'return cjson.encode_number_precision(15)',
    "-ERR user_script:1: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14) script: bbd9450de606b026b51b67e7b961ff09397ea6dd, on @user_script:1.\r\n",
  ],
  ['return {cjson.encode_sparse_array()}', '*3\r\n$-1\r\n:2\r\n:10\r\n'],
  [
    "return {cjson.encode_invalid_numbers('foo')}",
    "-ERR user_script:1: bad argument #1 to 'encode_invalid_numbers' (invalid option 'foo') script: bbc2b961fce4ab36be1dd133a5ee5d55e3d32f4b, on @user_script:1.\r\n",
  ],
  [
    "local j = cjson.new() return {j.encode_invalid_numbers('null'), j.encode({0/0, 1/0})}",
    '*2\r\n$4\r\nnull\r\n$11\r\n[null,null]\r\n',
  ],
  ['local j = cjson.new() return {tostring(j.encode_invalid_numbers(false))}', '*1\r\n$5\r\nfalse\r\n'],
  [
    'local j = cjson.new() j.encode_sparse_array(true, 1, 1) return j.encode({[1] = 1, [5] = 5})',
    '$13\r\n{"1":1,"5":5}\r\n',
  ],
  [
    'local j = cjson.new() j.encode_number_precision(3) return j.encode({3.14159, 2/3, 1e10})',
    '$18\r\n[3.14,0.667,1e+10]\r\n',
  ],
  [
    "local j = cjson.new() j.decode_max_depth(2) return j.decode('[[[1]]]')",
    '-ERR user_script:1: Found too many nested data structures (3) at character 3 script: 92b092601e174e846ea26b548dba2cc9546174ec, on @user_script:1.\r\n',
  ],
  [
    'return cjson.encode_max_depth(1,2)',
    "-ERR user_script:1: bad argument #2 to 'encode_max_depth' (found too many arguments) script: 5c43c48e7e76822fc2893cb1a56ce410492db058, on @user_script:1.\r\n",
  ],
  [
    'local t = {} for i=1,1001 do t={t} end return cjson.encode(t)',
    '-ERR user_script:1: Cannot serialise, excessive nesting (1001) script: 04630c7c366adf0c412d0f8f1b502693e30f98cd, on @user_script:1.\r\n',
  ],
  [
    "return cjson.decode(string.rep('[',1001))",
    '-ERR user_script:1: Found too many nested data structures (1001) at character 1001 script: 3f9e99ea360e5a68adf972ec047746d5b9bda33e, on @user_script:1.\r\n',
  ],
  ['return type(cjson.new().encode)', '$8\r\nfunction\r\n'],
  ['return cjson.encode({1,2,nil,4})', '$12\r\n[1,2,null,4]\r\n'],
  ["return cjson.encode({a=1,b={},c='x/y'})", '$25\r\n{"a":1,"c":"x\\/y","b":{}}\r\n'],
  ['return tostring(cjson.null)', '$15\r\nuserdata: (nil)\r\n'],
  [
    'return bit.band()',
    "-ERR user_script:1: bad argument #1 to 'band' (number expected, got no value) script: 5cf53f885283a4f44a8fe7ad7e7fccaed4113e62, on @user_script:1.\r\n",
  ],
  [
    "return bit.band('x')",
    "-ERR user_script:1: bad argument #1 to 'band' (number expected, got string) script: d35c9a1d4f4825ae2c0656c3cb8c9f397ca6d9b1, on @user_script:1.\r\n",
  ],
  ['return bit.tohex(-1,-4)', '$4\r\nFFFF\r\n'],
  [
    'return {bit.tobit(0xffffffff), bit.bnot(0), bit.band(0xff, 0x0f, 7), bit.bor(1, 2, 4), bit.bxor(5, 1), bit.lshift(1, 33), bit.rshift(-1, 28), bit.arshift(-256, 4), bit.rol(0x12345678, 12), bit.ror(0x12345678, 12), bit.bswap(0x12345678), bit.tohex(255), bit.tobit(2^40 + 5), bit.tobit(1.5)}',
    '*14\r\n:-1\r\n:-1\r\n:7\r\n:7\r\n:4\r\n:2\r\n:15\r\n:-16\r\n:1164411171\r\n:1736516421\r\n:2018915346\r\n$8\r\n000000ff\r\n:5\r\n:2\r\n',
  ],
  [
    'return table.setn({},1)',
    "-ERR user_script:1: 'setn' is obsolete script: 48207da98200a2c38e9d38b565965eaa9f59d7b5, on @user_script:1.\r\n",
  ],
  [
    'return table.insert({},1,2,3)',
    "-ERR user_script:1: wrong number of arguments to 'insert' script: 21e4963c848a06be26a7146484a2075beb19eac9, on @user_script:1.\r\n",
  ],
  [
    'return table.concat({1,{},3})',
    "-ERR user_script:1: invalid value (table) at index 2 in table for 'concat' script: eb0534684e031e702003122cf0f200157f632621, on @user_script:1.\r\n",
  ],
  ["return table.concat({1, 2.5, 'x'}, '-')", '$7\r\n1-2.5-x\r\n'],
  [
    "return table.sort({3,2,1,'x'})",
    '-ERR attempt to compare string with number script: ad450458a228db57bfa2f8f5c4b6ef6ecc55f59c, on @user_script:1.\r\n',
  ],
  [
    'return table.sort({1,2,3,4,5,6,7,8,9,10},function() return true end)',
    '-ERR user_script:1: invalid order function for sorting script: 0feeffd76d5b70bbfe59c90620b04b7590bba3ee, on @user_script:1.\r\n',
  ],
  ['local t = {5,2,8,1,9,3} table.sort(t) return t', '*6\r\n:1\r\n:2\r\n:3\r\n:5\r\n:8\r\n:9\r\n'],
  [
    'local t = {5,2,8,1,9,3} table.sort(t, function(a, b) return a > b end) return t',
    '*6\r\n:9\r\n:8\r\n:5\r\n:3\r\n:2\r\n:1\r\n',
  ],
  [
    "local t = {1,2,3} table.insert(t, 2, 'x') return {table.remove(t), table.remove(t, 1), table.maxn({[10] = 1}), table.getn(t), unpack(t)}",
    '*6\r\n:3\r\n:1\r\n:10\r\n:2\r\n$1\r\nx\r\n:2\r\n',
  ],
  [
    'local t = {} table.foreach({a = 1}, function(k, v) t[1] = k .. v end) table.foreachi({7, 8}, function(i, v) t[i + 1] = i * v end) return t',
    '*3\r\n$2\r\na1\r\n:7\r\n:16\r\n',
  ],
  [
    "return {math.floor(-1.5), math.ceil(1.2), math.abs(-3), math.max(1, 5, 3), math.min(4, 2), math.fmod(7, 3), math.mod(7, 3), tostring(math.huge), tostring(math.pi), math.pow(2, 10), math.sqrt(16), select('#', math.frexp(8)), math.ldexp(1, 5), math.log10(1000)}",
    '*14\r\n:-2\r\n:2\r\n:3\r\n:5\r\n:2\r\n:1\r\n:1\r\n$3\r\ninf\r\n$15\r\n3.1415926535898\r\n:1024\r\n:4\r\n:2\r\n:32\r\n:3\r\n',
  ],
  [
    'math.randomseed(7) return {tostring(math.random()), math.random(6), math.random(10, 20)}',
    '*3\r\n$16\r\n0.26644419658298\r\n:5\r\n:12\r\n',
  ],
  [
    "return {string.byte('abc', -1), string.char(72, 105), ('x'):rep(3), ('abc'):reverse(), ('aBc'):upper(), ('aBc'):lower(), ('hello'):sub(2, -2), #'abc', ('hello'):len()}",
    '*9\r\n:99\r\n$2\r\nHi\r\n$3\r\nxxx\r\n$3\r\ncba\r\n$3\r\nABC\r\n$3\r\nabc\r\n$3\r\nell\r\n:3\r\n:5\r\n',
  ],
  [
    "return {('key = value'):match('^(%w+)%s*=%s*(%w+)$'), ('a1b22c333'):gsub('%d+', '<%0>'), ('hello world'):find('o w'), ('abc'):find('b', 1, true), ('x'):gsub('', '-')}",
    '*6\r\n$3\r\nkey\r\n$15\r\na<1>b<22>c<333>\r\n:5\r\n:2\r\n$3\r\n-x-\r\n:2\r\n',
  ],
  [
    "local r = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do r[#r + 1] = k .. v end return r",
    '*2\r\n$2\r\na1\r\n$2\r\nb2\r\n',
  ],
  [
    "return {string.format('%5d|%-5d|%05d|%+d|%x|%X|%o|%c|%5.1f|%e|%g|%s|%10s|%-10s|%.2s|%q|%%', 42, 42, 42, 42, 255, 255, 8, 65, 3.14159, 12345.678, 0.0001, 'str', 'r', 'l', 'cut', 'q\"\\n')}",
    '*1\r\n$97\r\n   42|42   |00042|+42|ff|FF|10|A|  3.1|1.234568e+04|0.0001|str|         r|l         |cu|"q\\"\\\n"|%\r\n',
  ],
  [
    "local t = setmetatable({}, {__index = function(t, k) return k .. '!' end, __call = function(self, a) return a * 2 end, __tostring = function() return 'T' end}) return {t.x, t(21), tostring(t)}",
    '*3\r\n$2\r\nx!\r\n:42\r\n$1\r\nT\r\n',
  ],
  [
    'local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return {co(1), co(10)}',
    '*2\r\n:2\r\n:20\r\n',
  ],
  ['local t = {} for i = 10, 1, -3 do t[#t + 1] = i end return t', '*4\r\n:10\r\n:7\r\n:4\r\n:1\r\n'],
  [
    "return {pcall(error, 'x'), pcall(error), pcall(error, {code = 1}), select('#', pcall(error, {err = 'E'}))}",
    '*4\r\n$-1\r\n$-1\r\n$-1\r\n:2\r\n',
  ],
  [
    'return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], #KEYS, #ARGV}',
    '*6\r\n$2\r\nk1\r\n$2\r\nk2\r\n$2\r\na1\r\n$2\r\na2\r\n:2\r\n:2\r\n',
  ],
  [
    "return redis.sha1hex('The quick brown fox jumps over the lazy dog')",
    '$40\r\n2fd4e1c67a2d28fced849ee1bb76e7391b93eb12\r\n',
  ],
  [
    'return {redis.REDIS_VERSION, redis.REDIS_VERSION_NUM, redis.LOG_DEBUG, redis.LOG_WARNING, redis.REPL_ALL}',
    '*5\r\n$6\r\n7.0.15\r\n:458767\r\n:0\r\n:3\r\n:3\r\n',
  ],
  [
    'local t = {} for k in pairs(redis) do t[#t + 1] = k end return t',
    '*23\r\n$3\r\nlog\r\n$11\r\nLOG_WARNING\r\n$11\r\nerror_reply\r\n$8\r\nREPL_AOF\r\n$4\r\ncall\r\n$8\r\nREPL_ALL\r\n$17\r\nREDIS_VERSION_NUM\r\n$10\r\nREPL_SLAVE\r\n$5\r\npcall\r\n$10\r\nLOG_NOTICE\r\n$8\r\nset_repl\r\n$5\r\ndebug\r\n$9\r\nLOG_DEBUG\r\n$7\r\nsha1hex\r\n$13\r\nREDIS_VERSION\r\n$12\r\nstatus_reply\r\n$13\r\nacl_check_cmd\r\n$12\r\nREPL_REPLICA\r\n$10\r\nbreakpoint\r\n$7\r\nsetresp\r\n$18\r\nreplicate_commands\r\n$11\r\nLOG_VERBOSE\r\n$9\r\nREPL_NONE\r\n',
  ],
  [
    "return {tostring(2^53), tostring(1e15), tostring(123456789012345), tostring(0.1 + 0.2), tostring(1/3), tostring(-1e-10), tostring(100), 2^31, 1e14 .. '', 5 .. ''}",
    '*10\r\n$18\r\n9.007199254741e+15\r\n$5\r\n1e+15\r\n$19\r\n1.2345678901234e+14\r\n$3\r\n0.3\r\n$16\r\n0.33333333333333\r\n$6\r\n-1e-10\r\n$3\r\n100\r\n:2147483648\r\n$5\r\n1e+14\r\n$1\r\n5\r\n',
  ],
  [
    "return {tonumber('0x1F'), tonumber('1e2'), tonumber('  12  '), tostring(tonumber('12a')), tonumber('11', 2), tonumber('zz', 36), tostring(tonumber('8', 8)), tostring(tonumber('')), tonumber('ffffffffff', 16)}",
    '*9\r\n:31\r\n:100\r\n:12\r\n$3\r\nnil\r\n:3\r\n:1295\r\n$3\r\nnil\r\n$3\r\nnil\r\n:1099511627775\r\n',
  ],
];
