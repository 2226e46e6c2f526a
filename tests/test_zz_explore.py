import pytest
PAIRS=[("a","A"),("é","É"),("e","é"),("e","E\u0301"),("ß","ss"),("ß","s"),("ß","SS"),("o","ø"),("i","İ"),("ı","i"),("I","ı"),("K","\u212a"),("x","x "),("ﬁ","fi"),("Σ","ς"),("σ","ς"),("a\u0301","á"),("Å","å"),("Å","a"),("👍","👎"),("ж","Ж"), ("æ","ae"),("л","Л"),("d","đ"),("ł","l"),("ñ","n"),("ё","е"),("й","и"),("ά","α"),("か","が"),("か","カ"),("ﬀ","ff"),("ſ","s"),("¹","1"),("ª","a"),("ç","c"),("ĳ","ij"),("Ｅ","E")]
def test_fold(database):
    out=[]
    for a,b in PAIRS:
        got=[]
        for what in ("column","table"):
            try:
                if what=="column":
                    database.execute(f'CREATE TABLE "zz" ("{a}" int, "{b}" int)'); database.execute('DROP TABLE "zz"')
                else:
                    database.execute(f'CREATE TABLE "{a}" (i int)')
                    try: database.execute(f'CREATE TABLE "{b}" (i int)'); database.execute(f'DROP TABLE "{b}"')
                    finally: database.execute(f'DROP TABLE "{a}"')
                got.append("-")
            except Exception as e:
                got.append(what+" "+str(e)[:60])
        out.append((a,b,*got))
    print("\n=====", database.engine)
    for x in out:
        if x[2:]!=("-","-"): print(x)
    for n in (63,64,65,70):
      for ch in ("n","é"):
        for w in ("table","column"):
          try:
            database.execute(f'CREATE TABLE "{ch*n if w=="table" else "zz"}" ("{ch*n if w!="table" else "zz"}" int)')
            database.execute(f'DROP TABLE "{ch*n if w=="table" else "zz"}"')
          except Exception as e: print(n,ch,w,str(e)[:90])
